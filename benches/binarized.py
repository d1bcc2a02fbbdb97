#!/usr/bin/env python3
"""Images in grey as images in black and white: each pixel drawn by its brightness, as the bounds of generative models on MNIST are
measured (Salakhutdinov and Murray 2008). Needs numpy and safetensors.

    python3 benches/binarized.py train-images-idx3-ubyte.gz train.safetensors --copies 6 --first 9500
    python3 benches/binarized.py train-images-idx3-ubyte.gz valid.safetensors --skip 9500
    python3 benches/binarized.py test-images-idx3-ubyte.gz test.safetensors --seed 2

`--copies` draws every image so many times, one set after another.
"""

import argparse
import gzip

import numpy
from safetensors.numpy import save_file


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="MNIST's idx3 file, gzip or not")
    parser.add_argument("out", help="a .safetensors file with an array `image` [N, pixels]")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0, help="images that are left out at the beginning")
    parser.add_argument("--first", type=int, help="the last image that is taken")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    opened = gzip.open if args.images.endswith(".gz") else open
    with opened(args.images, "rb") as file:
        data = numpy.frombuffer(file.read(), numpy.uint8)
    count, height, width = (int.from_bytes(data[at : at + 4].tobytes(), "big") for at in (4, 8, 12))
    grey = data[16:].reshape(count, height * width)[args.skip : args.first]
    random = numpy.random.default_rng(args.seed)
    drawn = [(random.random(grey.shape) < grey / 255.0).astype(numpy.uint8) for _ in range(args.copies)]
    save_file({"image": numpy.concatenate(drawn)}, args.out)


if __name__ == "__main__":
    main()
