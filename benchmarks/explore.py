"""How long the page of a front takes from a preference that changed to the frame that shows the new metrics.

    python benchmarks/explore.py RUN [--moves 60] [--output FILE]

RUN is a steerable front of two tasks. A real ``accord explore`` serves it, a real headless Chromium moves the slider,
one move after the other. ``page``: from the slider's event to the end of the frame that shows the server's figures,
which is where the next frame starts; the page draws none in between, as it does not for people who wait.
``server``: the share of it that measuring takes. ``processor``: what the server's process spends on a move on all cores
together, which a busy machine changes least. ``drag``: how many answers a second come while the slider is moved every
frame. Milliseconds; medians, the 95th percentile and the largest. One JSON line, with the machine's load.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

MOVE = """async (moves) => {
    const slider = document.getElementById("share"), source = document.getElementById("source");
    const frame = () => new Promise(requestAnimationFrame);
    const times = [];
    for (const value of moves) {
        const wanted = [1 - value / 100, value / 100].map((share) => Number(share.toFixed(4))).join(",");
        const shown = new Promise((resolve) => {
            const seen = () => { if (source.dataset.shown === wanted) { watcher.disconnect(); resolve(); } };
            const watcher = new MutationObserver(seen);
            watcher.observe(source, { attributes: true });
        });
        const began = performance.now();
        slider.value = value;
        slider.dispatchEvent(new Event("input"));
        await shown;
        await frame();
        await frame();
        times.push([performance.now() - began, Number(source.textContent.match(/([0-9]+) ms/)[1])]);
    }
    return times;
}"""
DRAG = """async (frames) => {
    const slider = document.getElementById("share"), source = document.getElementById("source");
    const seen = new Set();
    const began = performance.now();
    for (let i = 0; i < frames; i += 1) {
        slider.value = 10 + i % 80;
        slider.dispatchEvent(new Event("input"));
        await new Promise(requestAnimationFrame);
        seen.add(source.dataset.shown);
    }
    return seen.size / (performance.now() - began) * 1000;
}"""


def measure(run: Path, moves: int) -> dict[str, Any]:
    """Return the figures of one server and one browser."""
    command = [sys.executable, "-m", "accord", "explore", str(run), "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    try:
        address = server.stdout.readline().strip()
        with sync_playwright() as playwright:
            executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(address)
            page.locator("#source", has_text="Measured just now").wait_for()
            values = [(37 * i) % 101 for i in range(1, moves + 6)]
            page.evaluate(MOVE, values[:5])  # the first moves compile the page's code
            before = processor_seconds(server.pid)
            times = page.evaluate(MOVE, values[5:])
            spent = processor_seconds(server.pid) - before
            drag = page.evaluate(DRAG, 120)
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
    whole, inside = zip(*times, strict=True)
    processor = round(1000 * spent / moves, 1)
    return {"page": summary(whole), "server": summary(inside), "processor": processor, "drag": round(drag, 1)}


def processor_seconds(process: int) -> float:
    """Return the processor time of a running process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def summary(times: tuple[float, ...]) -> dict[str, float]:
    """Return median, 95th percentile and maximum."""
    return {
        "median": round(statistics.median(times), 1),
        "p95": round(statistics.quantiles(times, n=20)[-1], 1),
        "max": round(max(times), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--moves", type=int, default=60)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    record = json.loads((asked.run / "front.json").read_text("utf-8"))
    about = {"method": record["method"], "tasks": len(record["tasks"]), "rows": record["rows"].get("live")}
    load = round(os.getloadavg()[0], 2)
    line = json.dumps({"benchmark": "explore", **about, **measure(asked.run, asked.moves), "load": load})
    print(line)
    if asked.output:
        with asked.output.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
