import { expect, test } from 'vitest'
import { formatMetrics } from './metrics.js'

test('each family has its help, its type and its samples, one a line', () => {
  const text = formatMetrics([
    { name: 'a_total', help: 'How many.', type: 'counter', samples: [{ value: 3 }] },
    {
      name: 'b',
      help: 'Which.',
      type: 'gauge',
      samples: [
        { labels: { x: '1', y: 'two' }, value: 0.5 },
        { labels: { x: '2', y: 'two' }, value: 0 },
      ],
    },
    { name: 'c_total', help: 'None yet.', type: 'counter', samples: [] },
  ])
  expect(text).toBe(`# HELP a_total How many.
# TYPE a_total counter
a_total 3
# HELP b Which.
# TYPE b gauge
b{x="1",y="two"} 0.5
b{x="2",y="two"} 0
# HELP c_total None yet.
# TYPE c_total counter
`)
})

test('what would end a label is escaped', () => {
  const samples = [{ labels: { name: 'a"b\\c\nd' }, value: 1 }]
  expect(formatMetrics([{ name: 'm', help: 'h', type: 'gauge', samples }])).toContain(
    'm{name="a\\"b\\\\c\\nd"} 1',
  )
})
