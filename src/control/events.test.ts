import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EventHub, EventQueue, formatEvent, QUEUE_LENGTH_MAX } from './events.js'

const line = (text: string) => Buffer.from(`${text}\n`)
const SIZE = 65536

function makeQueue(uid = 0) {
  let wakes = 0
  const queue = new EventQueue(
    uid,
    () => {
      wakes++
    },
    () => 'NOW',
  )
  return { queue, wakes: () => wakes }
}

/** What is left in the queue, in one go. */
function drain(queue: EventQueue, size = SIZE): string {
  const parts: Buffer[] = []
  for (let part = queue.read(size); part.length > 0; part = queue.read(size)) parts.push(part)
  return Buffer.concat(parts).toString()
}

describe('EventQueue', () => {
  test('an empty queue has nothing to read and is not readable', () => {
    const { queue } = makeQueue()
    expect(queue.isReadable).toBe(false)
    expect(queue.read(SIZE)).toHaveLength(0)
  })

  test('gives as many whole lines as fit, and keeps the next one whole', () => {
    const { queue, wakes } = makeQueue()
    for (const text of ['one', 'two', 'three']) queue.push(line(text))
    expect(wakes()).toBe(3)
    expect(queue.read(10).toString()).toBe('one\ntwo\n')
    expect(queue.read(10).toString()).toBe('three\n')
    expect(queue.isReadable).toBe(false)
  })

  test('a line that is longer than the read comes in parts, and nothing else comes with the parts', () => {
    const { queue } = makeQueue()
    queue.push(line('abcdefgh'))
    queue.push(line('x'))
    expect(queue.read(4).toString()).toBe('abcd')
    expect(queue.isReadable).toBe(true)
    expect(queue.read(4).toString()).toBe('efgh')
    expect(queue.read(4).toString()).toBe('\nx\n')
  })

  test('a read of any size loses and repeats no byte', () => {
    const lines = fc.array(fc.string({ maxLength: 20 }).map((text) => line(text.replaceAll('\n', ''))))
    fc.assert(
      fc.property(lines, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (all, sizes) => {
        const { queue } = makeQueue()
        for (const each of all) queue.push(each)
        const parts: Buffer[] = []
        for (let index = 0; queue.isReadable; index++) {
          const part = queue.read(sizes[index % sizes.length] ?? 1)
          expect(part.length).toBeGreaterThan(0)
          parts.push(part)
        }
        expect(Buffer.concat(parts)).toEqual(Buffer.concat(all))
      }),
    )
  })

  test('what does not fit is counted, and told where the gap is', () => {
    const { queue } = makeQueue()
    for (let index = 0; index < QUEUE_LENGTH_MAX + 3; index++) queue.push(line(`before ${index}`))
    queue.read(20)
    queue.push(line('after'))
    const lines = drain(queue).trim().split('\n')
    expect(lines.at(-3)).toBe(`before ${QUEUE_LENGTH_MAX - 1}`)
    expect(JSON.parse(lines.at(-2) ?? '')).toEqual({ time: 'NOW', event: 'lost', count: 3 })
    expect(lines.at(-1)).toBe('after')
  })

  test('a gap that nothing follows is told when the queue is empty, and the reader is told it can read', () => {
    const { queue } = makeQueue()
    for (let index = 0; index < QUEUE_LENGTH_MAX + 1; index++) queue.push(line('x'))
    for (let index = 0; index < QUEUE_LENGTH_MAX; index++) queue.read(2)
    expect(queue.isReadable).toBe(true)
    expect(JSON.parse(drain(queue))).toMatchObject({ event: 'lost', count: 1 })
    expect(queue.isReadable).toBe(false)
  })

  test('each gap is counted by itself', () => {
    const { queue } = makeQueue()
    for (let index = 0; index < QUEUE_LENGTH_MAX + 2; index++) queue.push(line('x'))
    drain(queue)
    for (let index = 0; index < QUEUE_LENGTH_MAX + 5; index++) queue.push(line('x'))
    expect(drain(queue)).toContain('"count":5')
  })

  test('a reader that never reads costs a bounded number of lines', () => {
    const { queue } = makeQueue()
    for (let index = 0; index < 3 * QUEUE_LENGTH_MAX; index++) queue.push(line('x'))
    expect(drain(queue).split('\n').length).toBeLessThanOrEqual(QUEUE_LENGTH_MAX + 2)
  })

  test('the end: what is queued can be read, then there is an end of file, and nothing more is taken', () => {
    const { queue, wakes } = makeQueue()
    queue.push(line('last'))
    queue.end()
    queue.push(line('too late'))
    expect(wakes()).toBe(2)
    expect(queue.read(SIZE).toString()).toBe('last\n')
    expect(queue.isReadable).toBe(true)
    expect(queue.read(SIZE)).toHaveLength(0)
  })
})

describe('EventHub', () => {
  const event = { time: 'T', event: 'granted', lease: 7 } as const

  test('root sees every event, others those that are theirs to see (R1)', () => {
    const hub = new EventHub()
    const [root, owner, other] = [makeQueue(0).queue, makeQueue(1000).queue, makeQueue(1001).queue]
    for (const queue of [root, owner, other]) hub.subscribe(queue)
    hub.publish(event, [1000, 5])
    expect([root, owner, other].map((queue) => drain(queue))).toEqual([
      '{"time":"T","event":"granted","lease":7}\n',
      '{"time":"T","event":"granted","lease":7}\n',
      '',
    ])
  })

  test('who has unsubscribed gets nothing more', () => {
    const hub = new EventHub()
    const { queue } = makeQueue()
    hub.subscribe(queue)
    expect(hub.hasReaders).toBe(true)
    hub.unsubscribe(queue)
    expect(hub.hasReaders).toBe(false)
    hub.publish(event, [])
    expect(queue.isReadable).toBe(false)
  })

  test('after the end, readers that are there and readers that come get the end of file', () => {
    const hub = new EventHub()
    const [early, late] = [makeQueue().queue, makeQueue().queue]
    hub.subscribe(early)
    hub.close()
    hub.subscribe(late)
    for (const queue of [early, late]) {
      expect(queue.isReadable).toBe(true)
      expect(queue.read(SIZE)).toHaveLength(0)
    }
  })
})

test('formatEvent: one line, whatever is in it', () => {
  const text = formatEvent({ time: 'T', event: 'x', file: 'a\nb\u2028"' }).toString()
  expect(text.split('\n')).toHaveLength(2)
  expect(JSON.parse(text)).toMatchObject({ file: 'a\nb\u2028"' })
})
