"""Write digits.js: the handwritten images that the page's clips show, from the splits of minivjepa.data.protocol.

Run from the repository's root: python page/data/export.py
"""

from pathlib import Path

import numpy as np

from minivjepa.data.protocol import IDENTITIES, digit_split

PER_DIGIT = {"train": 20, "validation": 10}
LEVELS = "0123456789abcdefg"  # scikit-learn's digits have 17 gray levels
OUT = Path(__file__).with_name("digits.js")


def packed(split: str) -> list[str]:
    """The first images of every digit in a split, 64 characters each, digit by digit."""
    images, labels = digit_split()[split]
    chosen = [images[labels == digit][: PER_DIGIT[split]] for digit in range(IDENTITIES)]
    levels = (np.concatenate(chosen).reshape(-1, 64) * 16).round().astype(int)
    return ["".join(LEVELS[level] for level in image) for image in levels]


def main() -> None:
    """Write the file."""
    lines = ["// Real handwritten digits, 8 x 8, one gray level a character.  Written by export.py.", ""]
    for split, count in PER_DIGIT.items():
        lines += [f"/** {count} images of each digit, 0 to 9, of the {split} split. */"]
        lines += [f"export const {split.upper()} = ["]
        lines += [f'  "{image}",' for image in packed(split)] + ["];"]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
