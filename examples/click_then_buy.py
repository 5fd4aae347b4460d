"""Click and purchase, where a purchase can only follow a click: two tasks on two sample spaces.

Trained on clicks alone, a purchase model has never seen the people it will be asked about. With ``space="entire"`` the
probability of the purchase is trained through the product of both, on all rows.

python examples/click_then_buy.py
"""

from __future__ import annotations

import numpy as np

import accord


def visits(rows: int = 4000) -> dict[str, np.ndarray]:
    """Return a table of visits; ``buy`` is 0 wherever ``click`` is."""
    draw = np.random.default_rng(0)
    interest, price = draw.normal(size=rows), draw.uniform(1, 10, size=rows)
    device = draw.choice(["phone", "tablet", "desktop"], size=rows)
    click = draw.random(rows) < 1 / (1 + np.exp(1 - interest))
    buy = click & (draw.random(rows) < 1 / (1 + np.exp(price / 4 - interest - (device == "desktop"))))
    return {
        "interest": interest,
        "price": price,
        "device": device,
        "click": click.astype(np.int64),
        "buy": buy.astype(np.int64),
    }


def main() -> None:
    """Fit both tasks and print what sharing did, and three predictions."""
    tasks = [accord.Task("click", "binary"), accord.Task("buy", "binary", given="click", space="entire")]
    model = accord.fit(visits(), tasks, sharing="mmoe", epochs=3, batch_size=256)
    print(model)
    predictions = model.predict({name: column[:3] for name, column in visits().items()})
    for name, values in predictions.items():
        print(f"{name:10} {values}")


if __name__ == "__main__":
    main()
