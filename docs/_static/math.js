/* Typeset every formula that Sphinx marked: <span class="tex"> in the text, <div class="tex"> on its own line. */
document.addEventListener("DOMContentLoaded", () => {
  for (const element of document.querySelectorAll(".math > .tex")) {
    katex.render(element.textContent, element, {
      displayMode: element.tagName === "DIV",
      throwOnError: false, // a wrong formula is shown in red; docs/check.py finds it before a reader does
      strict: "ignore",
    });
    keepPunctuation(element.parentElement);
  }
});

/* No line begins with the comma or full stop that follows a formula; a long formula may still be broken. */
function keepPunctuation(formula) {
  const next = formula.nextSibling;
  const mark = next?.nodeType === Node.TEXT_NODE && /^[.,;:!?)\]’”]+/.exec(next.data);
  if (!mark || formula.querySelectorAll(".katex-base").length > 2) return;
  const together = document.createElement("span");
  together.style.whiteSpace = "nowrap";
  formula.replaceWith(together);
  together.append(formula, mark[0]);
  next.data = next.data.slice(mark[0].length);
}
