// What scrolls by itself can be scrolled by the keyboard.
"use strict";

(() => {
  const look = () => {
    for (const box of document.querySelectorAll("pre, div.math, figure, .table-wrapper, .cell_output")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  addEventListener("load", look);
  addEventListener("resize", look);
})();
