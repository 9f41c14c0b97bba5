// Formats a table `{ caption?, head, rows, ours }`. The first column contains names, the others numbers.

export function toTerminal({ caption, head, rows }) {
  const lines = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...lines.map(line => [...line[column]].length)))
  const toLine = cells =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
      .join('  ')
      .trimEnd()
  const ruler = '─'.repeat(widths.reduce((sum, width) => sum + width + 2, -2))
  return [...(caption ? [`\n${caption}`] : []), toLine(head), ruler, ...rows.map(toLine)].join('\n')
}

export function toMarkdown({ caption, head, rows, ours }) {
  const toLine = cells => `| ${cells.join(' | ')} |`
  const lines = rows.map(([name, ...cells]) =>
    toLine(ours.includes(name) ? [`**${name}**`, ...cells.map(cell => cell && `**${cell}**`)] : [name, ...cells]),
  )
  const ruler = toLine(head.map((_, column) => (column === 0 ? ':--' : '--:')))
  return [...(caption ? [`${caption}:\n`] : []), toLine(head), ruler, ...lines].join('\n')
}
