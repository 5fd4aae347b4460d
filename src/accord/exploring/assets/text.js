// Text in pictures has no line breaking, so what is too long is cut.

const FACE = '-apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif';
const ruler = document.createElement("canvas").getContext("2d");

export function textWidth(text, font = "12px") {
  ruler.font = `${font} ${FACE}`;
  return ruler.measureText(text).width;
}

export function shorten(text, room, font = "12px") {
  if (textWidth(text, font) <= room) return text;
  const letters = [...text];
  let [fits, over] = [0, letters.length];
  while (over - fits > 1) {
    const middle = Math.floor((fits + over) / 2);
    if (textWidth(`${letters.slice(0, middle).join("")}\u2026`, font) <= room) fits = middle;
    else over = middle;
  }
  return `${letters.slice(0, fits).join("").trimEnd()}\u2026`;
}
