import { expect, test } from 'vitest'
import { textWidth } from './text-width.js'

test.each([
  ['', 0],
  ['/srv/a b', 8],
  ['café', 4],
  ['cafe\u0301', 4],
  ['模型.gguf', 9],
  ['한글', 4],
  ['ｆｕｌｌ', 8],
  ['🚀x', 3],
])('%j takes %i columns', (text, columns) => {
  expect(textWidth(text)).toBe(columns)
})
