// Writes the model that is shown. The server chooses where; a saved page says how to do it without one.

import { byId, html } from "./elements.js";
import { ask } from "./measure.js";
import { bytes } from "./numbers.js";
import { say } from "./say.js";

const formats = (front) => [
  ["safetensors", "safetensors", front.merged ? "the merged checkpoint, and a zip file to download" :
    "a run directory for accord predict, and a zip file to download"],
  ["onnx", "ONNX", "one file for other runtimes"],
];

export function setUpExport(front, store) {
  const place = byId("export");
  place.append(html("h3", {}, "Export this model"));
  if (!front.live) {
    hint(place, front, store);
    return;
  }
  const choices = formats(front).map(([value, name, about], i) => html("label", { class: "check" },
    html("input", { type: "radio", name: "format", value, checked: i === 0, disabled: value in front.missing }),
    html("span", {}, html("strong", {}, name), ` ${front.missing[value] ?? about}`)));
  const button = html("button", { type: "button", class: "primary", id: "export-button" }, "Export");
  const result = html("div", { id: "export-result" });
  place.append(html("div", { class: "formats", role: "radiogroup", "aria-label": "Format" }, choices), button, result);

  button.addEventListener("click", async () => {
    // The preference whose numbers are on the page, not one that is still being measured.
    const { preference } = store.state.shown;
    const format = place.querySelector("input[name=format]:checked").value;
    button.disabled = true;
    button.textContent = "Exporting\u2026";
    try {
      const made = await ask("export", { preference, format });
      result.replaceChildren(...written(front, made, format));
      say(`Exported as ${made.name}`);
    } catch (error) {
      result.replaceChildren(html("p", { class: "alarm", role: "alert" }, error.message));
    }
    button.disabled = false;
    button.textContent = "Export";
  });
}

function written(front, made, format) {
  const name = format === "onnx" ? made.name : `${made.name}.zip`;
  return [
    html("p", {}, "Written to ", html("code", {}, `${front.name}/exports/${made.name}`), `, ${bytes(made.bytes)}.`),
    html("p", {}, html("a", { class: "download", href: `exports/${encodeURIComponent(made.name)}`, download: name }, `Download ${name}`)),
  ];
}

function hint(place, front, store) {
  const code = html("code", { class: "command", tabindex: 0 });
  place.append(html("p", { class: "note" }, "This is a saved page. Where the front is, this writes the model:"), code);
  store.on(["shown"], ({ shown }) => {
    const shares = shown.preference.map((share) => Number(share.toFixed(4))).join(",");
    code.textContent = `accord explore ${front.name} --preference ${shares} --export chosen`;
  });
}
