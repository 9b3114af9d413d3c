// All of it, once. A feature that fails leaves the others, and the static view, as they are.

// Or a key typed here would be a command of the notebook. JupyterLab looks at the focused element
// before its parents, so each one has to say it.
function quiet(root) {
  [root, ...all(root, "[tabindex],button,summary,input,select,textarea,pre,.fk-canvas")]
    .forEach((element) => element.setAttribute("data-lm-suppress-shortcuts", "true"));
}

function hydrate(root) {
  if (root.dataset.fkReady) return null;
  root.dataset.fkReady = "1";
  const view = { root };
  for (const feature of features) {
    try {
      feature(view);
    } catch (error) {
      console.warn("fusekit: a part of the view stays static", error);
    }
  }
  quiet(root);
  performance.mark("fk-ready");
  return view;
}

// A view that needs more than this script has waits for its own.
const isWhole = ({ dataset }) => (dataset.fkParts ?? "").split(" ").every((part) => !part || PARTS.includes(part));
all(document, ".fk-view:not([data-fk-ready])").filter(isWhole).forEach(hydrate);
