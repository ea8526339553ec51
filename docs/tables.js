// On a phone a table is read row by row: each cell says itself which column it stands in
const text = cell => cell.textContent.trim();

// Cells as a grid of rows and columns, however many of either they span
function grid(rows) {
  const filled = rows.map(() => []);
  rows.forEach((row, r) => [...row.cells].forEach(cell => {
    let c = 0;
    while (filled[r][c]) c++;
    for (let i = 0; i < cell.rowSpan && r + i < rows.length; i++)
      for (let j = 0; j < cell.colSpan; j++) filled[r + i][c + j] = cell;
  }));
  return filled;
}

for (const table of document.querySelectorAll(".bd-article table")) {
  const heads = grid([...table.tHead?.rows ?? []]), rows = [...table.tBodies].flatMap(body => [...body.rows]);
  if (!heads.length || heads[0].length < 3) continue;
  const label = c => [...new Set(heads.map(row => row[c]).filter(Boolean).map(text))].filter(Boolean).join(", ");
  table.classList.add("stacks");
  grid(rows).forEach((cells, r) => {
    const headers = [...new Set(cells.filter(cell => cell.tagName === "TH"))];
    // A header that spans rows is repeated in each of them
    const above = headers.filter(cell => cell.parentElement !== rows[r]).map(text).join(", ");
    if (above) rows[r].dataset.above = above;
    cells.filter(cell => cell.tagName === "TD").forEach(cell => {
      const said = document.createElement("div");
      said.append(...cell.childNodes);
      cell.append(said);
      cell.dataset.label = label(cells.indexOf(cell));
    });
  });
}
