// Unfold's icons are words in an icon font ("inbox"), and screen readers would read them before the text beside them.
// One that stands alone stays: it is all the name that its button has.

addEventListener("DOMContentLoaded", () => {
  for (const icon of document.querySelectorAll(".material-symbols-outlined")) {
    const owner = icon.closest("a, button") ?? icon.parentElement;
    if (owner.textContent.trim() !== icon.textContent.trim()) icon.setAttribute("aria-hidden", "true");
  }
});
