// out [R, scales * SIZE * SIZE] = squares of images [R, HEIGHT * WIDTH] about places [R, 2]: square k is SIZE * 2^k pixels wide,
// each of its numbers the mean of 2^k * 2^k samples, linear between pixels and 0 outside. A thread makes one number.
// $out: array<#{V}>
// $image: array<#{V}>
// $at: array<#{V}>
fn pixel(row: u32, x: i32, y: i32) -> #{F} {
    if (x < 0 || y < 0 || x >= i32(WIDTH) || y >= i32(HEIGHT)) {
        return 0.0;
    }
    return $image[IMAGE_OFFSET + row * IMAGE_STRIDE + u32(y) * WIDTH + u32(x)];
}

#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= OUT_ROWS * OUT_COLS) {
        return;
    }
    let row = i / OUT_COLS;
    let number = i % OUT_COLS;
    let within = number % (SIZE * SIZE);
    let step = 1u << (number / (SIZE * SIZE));
    // Pixel n has its middle at n + 1/2.
    let place = AT_OFFSET + row * AT_STRIDE;
    let inside = (vec2<#{F}>($at[place], $at[place + 1u]) + 1.0) * 0.5;
    let middle = clamp(inside, vec2<#{F}>(-100.0), vec2<#{F}>(100.0)) * vec2<#{F}>(#{F}(WIDTH), #{F}(HEIGHT));
    let corner = middle - #{F}(SIZE * step) * 0.5;
    let first = floor(corner);
    let t = corner - first;
    let begin = vec2<i32>(first) + vec2<i32>(i32(within % SIZE * step), i32(within / SIZE * step));
    var sum = #{F}(0.0);
    for (var v = 0; v < i32(step); v++) {
        for (var u = 0; u < i32(step); u++) {
            let x = begin.x + u;
            let y = begin.y + v;
            let above = (1.0 - t.x) * pixel(row, x, y) + t.x * pixel(row, x + 1, y);
            let below = (1.0 - t.x) * pixel(row, x, y + 1) + t.x * pixel(row, x + 1, y + 1);
            sum += (1.0 - t.y) * above + t.y * below;
        }
    }
    $out[OUT_OFFSET + row * OUT_STRIDE + number] = sum / #{F}(step * step);
}

#use flat
