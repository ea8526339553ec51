// Results whose title has the words that were asked for come first; excerpts are of sentences, not of code and menus
const asked = (new URLSearchParams(location.search).get("q") ?? "").toLowerCase().split(/[^\p{Letter}\p{Number}_]+/u);

var Scorer = {
  score: ([page, title, anchor, about, score]) => {
    const words = title.toLowerCase().split(/[^\p{Letter}\p{Number}_]+/u);
    return score + 10*asked.filter(word => words.includes(word)).length;
  },
  objNameMatch: 11, objPartialMatch: 6, objPrio: {0: 15, 1: 5, 2: -5}, objPrioDefault: 0,
  title: 15, partialTitle: 7, term: 5, partialTerm: 2,
};

document.addEventListener("DOMContentLoaded", () => {
  const whole = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const article = new DOMParser().parseFromString(html, "text/html").querySelector("article");
    if (!article) return whole(html, anchor);
    article.querySelectorAll("pre, details, style, script, table, mjx-container, .math, .headerlink").forEach(e => e.remove());
    return (anchor && article.querySelector(anchor) || article).textContent.replace(/\s+/g, " ");
  };
});
