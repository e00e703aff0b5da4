// What scrolls by itself can be scrolled by the keyboard; pictures of the gallery open alone.
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
  // A picture of the gallery opens in full size.
  for (const image of document.querySelectorAll(".gallery img")) {
    const link = document.createElement("a");
    link.href = image.src;
    image.replaceWith(link);
    link.append(image);
  }
})();
