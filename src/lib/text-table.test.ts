import { expect, test } from 'vitest'
import { formatTable } from './text-table.js'

test('columns line up whatever the width of the characters, and no line ends in blanks', () => {
  const lines = [
    ['ID', 'FILE', 'STATE'],
    ['1', '/srv/模型', 'active'],
    ['100', '/srv/a', ''],
  ]
  expect(formatTable(lines)).toBe('ID   FILE       STATE\n1    /srv/模型  active\n100  /srv/a')
})

test('100,000 lines take no more than seconds', { timeout: 5000 }, () => {
  const lines = Array.from({ length: 100_000 }, (_, i) => [String(i), 'read', `/srv/file-${i}`])
  expect(formatTable(lines).split('\n')).toHaveLength(100_000)
})
