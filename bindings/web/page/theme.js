// SPDX-License-Identifier: Apache-2.0
// Before the page is drawn, so that it does not flash: the theme that was chosen. It is no module, since those run later.

{
  let theme = null;
  try {
    theme = localStorage.getItem("pulsews-theme");
  } catch {
    theme = null; // the browser keeps nothing for this page
  }
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
}
