/* Typeset every formula that Sphinx marked: <span class="tex"> in the text, <div class="tex"> on its own line. */
document.addEventListener("DOMContentLoaded", () => {
  for (const element of document.querySelectorAll(".math > .tex")) {
    const source = element.textContent;
    katex.render(source, element, {
      displayMode: element.tagName === "DIV",
      throwOnError: false, // a wrong formula is shown in red; docs/check.py finds it before a reader does
      strict: "ignore",
    });
  }
});
