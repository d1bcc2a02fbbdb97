// Gaussian filters [R, SIZE * (WIDTH + HEIGHT)] of rows at [R, 5]: middle across and down, log sigma^2, log delta~, log gamma;
// SIZE filters across, then SIZE down, these times gamma to the power of SIGN. Exponents stand beside that of the pixel nearest
// to a filter's middle; one below -NOTHING is no share. BACKWARD: into [R, 5] = the gradient of these numbers, of upstream, that of
// the filters. LANES threads share a row: each takes every LANES-th filter, and all of them add the lanes in order.
// $at: array<#{F}>
// $filters: array<#{F}>
// $upstream: array<#{F}>, where BACKWARD
// $into: array<#{F}>, where BACKWARD
#if DOUBLE
#use double
#end
#if BACKWARD
#if SHARED
var<workgroup> shares: array<#{F}, GROUP>;
#end

#use total

fn slope(x: #{F}, most: #{F}) -> #{F} {
    return select(1.0, 0.0, x > most || x < -most);
}

#else
fn share(e: #{F}) -> #{F} {
    return select(exp(-e), 0.0, e > NOTHING);
}

#end
// Comparisons, not clamp, so that a NaN stays one.
fn bounded(x: #{F}, most: #{F}) -> #{F} {
    return select(select(x, most, x > most), -most, x < -most);
}

// How far pixel a is below the nearest one, in its exponent.
fn below(a: #{F}, nearest: #{F}, middle: #{F}, narrow: #{F}) -> #{F} {
    return (a - nearest) * (a + nearest - 2.0 * middle) * (0.5 * narrow);
}

#main(GROUP) group, groups, thread {
    let lane = thread % LANES;
    let row = (group.y * groups.x + group.x) * (GROUP / LANES) + thread / LANES;
    // A row behind the last one goes along, for the barriers, and stores nothing.
    let own = min(row, ROWS - 1u);
    let numbers = AT_OFFSET + own * AT_STRIDE;
    let narrow = exp(-bounded($at[numbers + 2u], MOST));
    let gap = SPREAD * exp(bounded($at[numbers + 3u], MOST));
    let strength = exp(SIGN * bounded($at[numbers + 4u], MOST));
#if BACKWARD
    var across = #{F}(0.0);
    var down = #{F}(0.0);
    var widened = #{F}(0.0);
    var parted = #{F}(0.0);
    var stronger = #{F}(0.0);
#end
    for (var n = lane; n < 2u * SIZE; n += LANES) {
        let second = n >= SIZE;
        let i = n % SIZE;
        let pixels = select(WIDTH, HEIGHT, second);
        let by = select(1.0, strength, second);
        let offset = #{F}(i) - #{F}(SIZE - 1u) * 0.5;
        let place = bounded($at[numbers + n / SIZE], FARTHEST);
        let middle = #{F}(pixels + 1u) * 0.5 * (place + 1.0) + offset * gap;
        let nearest = clamp(round(middle), 1.0, #{F}(pixels));
        let first = n / SIZE * SIZE * WIDTH + i * pixels;
        let shown = FILTERS_OFFSET + own * FILTERS_STRIDE + first;
#if BACKWARD
        let given = UPSTREAM_OFFSET + own * UPSTREAM_STRIDE + first;
        var along = #{F}(0.0);
        for (var a = 0u; a < pixels; a++) {
            along += $filters[shown + a] * $upstream[given + a];
        }
        // Shares of 1 move together.
        let mean = along / by;
        var moved = #{F}(0.0);
        for (var a = 0u; a < pixels; a++) {
            let x = #{F}(a + 1u);
            let part = $filters[shown + a] * ($upstream[given + a] - mean);
            moved += part * (x - nearest);
            widened += part * below(x, nearest, middle, narrow);
        }
        moved *= narrow;
        parted += offset * moved;
        across += select(moved, 0.0, second);
        down += select(0.0, moved, second);
        stronger += select(0.0, along, second);
#else
        if (row < ROWS) {
            var sum = #{F}(0.0);
            for (var a = 0u; a < pixels; a++) {
                sum += share(below(#{F}(a + 1u), nearest, middle, narrow));
            }
            for (var a = 0u; a < pixels; a++) {
                $filters[shown + a] = by / sum * share(below(#{F}(a + 1u), nearest, middle, narrow));
            }
        }
#end
    }
#if BACKWARD
    let x = total(across, thread);
    let y = total(down, thread);
    let wide = total(widened, thread);
    let apart = total(parted, thread);
    let strong = total(stronger, thread);
    if (row >= ROWS || lane > 0u) {
        return;
    }
    let to = INTO_OFFSET + own * INTO_STRIDE;
    $into[to] = slope($at[numbers], FARTHEST) * (#{F}(WIDTH + 1u) * 0.5) * x;
    $into[to + 1u] = slope($at[numbers + 1u], FARTHEST) * (#{F}(HEIGHT + 1u) * 0.5) * y;
    $into[to + 2u] = slope($at[numbers + 2u], MOST) * wide;
    $into[to + 3u] = slope($at[numbers + 3u], MOST) * gap * apart;
    $into[to + 4u] = slope($at[numbers + 4u], MOST) * SIGN * strong;
#end
}
