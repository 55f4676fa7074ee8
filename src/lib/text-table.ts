import { textWidth } from './text-width.js'

/** Columns without lines around them, as `ps` prints them. Linear: there may be 100,000 leases to list. */
export function formatTable(lines: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const cells of lines) {
    for (const [column, cell] of cells.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, textWidth(cell))
    }
  }
  const pad = (cell: string, column: number) => cell + ' '.repeat((widths[column] ?? 0) - textWidth(cell))
  return lines.map((cells) => cells.map(pad).join('  ').trimEnd()).join('\n')
}
