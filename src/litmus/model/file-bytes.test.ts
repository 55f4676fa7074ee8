import { expect, test } from 'vitest'
import { FileBytes } from './file-bytes.js'

/** One letter for each byte: `#` data, `.` zero. */
function shown(bytes: FileBytes): string {
  let text = ''
  for (let at = 0; at < bytes.sizeBytes; at++)
    text += bytes.kindOf({ start: at, end: at + 1 }) === 'data' ? '#' : '.'
  return text
}

function changed(change: (bytes: FileBytes) => void): string {
  const bytes = new FileBytes(6)
  change(bytes)
  return shown(bytes)
}

test('a file begins full; each change moves or clears the bytes that fallocate(2) says', () => {
  expect(changed(() => {})).toBe('######')
  expect(changed((bytes) => bytes.setSize(3))).toBe('###')
  expect(changed((bytes) => bytes.setSize(8))).toBe('######..')
  expect(changed((bytes) => bytes.clear({ start: 2, end: 4 }))).toBe('##..##')
  expect(changed((bytes) => bytes.clear({ start: 4, end: 9 }))).toBe('####..')
  expect(changed((bytes) => bytes.fill({ start: 7, end: 9 }))).toBe('######.##')
  expect(changed((bytes) => bytes.collapse({ start: 1, end: 3 }))).toBe('####')
  expect(changed((bytes) => bytes.insert({ start: 2, end: 4 }))).toBe('##..####')
})

test('what was cut off is zeros when the file grows again', () => {
  const bytes = new FileBytes(6)
  bytes.setSize(2)
  bytes.setSize(4)
  expect(shown(bytes)).toBe('##..')
  bytes.fill({ start: 2, end: 3 })
  expect(bytes.data).toEqual([{ start: 0, end: 3 }])
  expect(bytes.kindOf({ start: 0, end: 4 })).toBe('mixed')
})
