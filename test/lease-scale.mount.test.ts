/** Many holders at once: nobody is left out, nobody is told twice, and it stays a matter of seconds. */
import path from 'node:path'
import { expect, test } from 'vitest'
import { controlDirectory, readEventsOf } from './support/events.js'
import { eventuallyTrue } from './support/eventually.js'
import { listing } from './support/listing.js'
import { program } from './support/programs.js'
import { inSandbox, SOON_MS } from './support/sandbox.js'

const HOLDER_COUNT = 1_000
/** B1: more than it may take to tell all and to let go one after the other, also on a machine that is busy. */
const BREAK_TIME_MS = 60_000

test(
  'B2, B4: 1,000 processes hold leases on one file; each is told of a truncate once, and it waits for the last',
  inSandbox(async (box) => {
    const tree = path.join(box.work, 'tree')
    await box.must('mkdir tree')
    await box.mount(tree, '--break-time', String(BREAK_TIME_MS))
    const file = await box.file('tree/file')
    const control = await controlDirectory(box, file)
    const events = await readEventsOf(box, `${control}/events`)
    const output = await box.must('"$1" "$2" "$3"', {
      args: [program('manyholders'), file, String(HOLDER_COUNT)],
      timeoutMs: 110_000,
    })
    expect(output).toMatch(new RegExp(`^told ${HOLDER_COUNT} most 1 early 0 `))
    expect(await box.must('stat -c %s "$1"', { args: [file] })).toBe('0\n')
    // The stream tells the same, lease by lease: one break, then one release; nothing was revoked, nothing was lost.
    await eventuallyTrue(
      'every release is in the event stream',
      async () => events.all().filter(({ event }) => event === 'released').length === HOLDER_COUNT,
      SOON_MS,
    )
    const seen = events.all()
    await events.stop()
    for (const kind of ['granted', 'break', 'released']) {
      const leases = seen.filter(({ event }) => event === kind).map(({ lease }) => lease)
      expect([kind, leases.length, new Set(leases).size]).toEqual([kind, HOLDER_COUNT, HOLDER_COUNT])
    }
    expect(seen.filter(({ event }) => !['granted', 'break', 'released'].includes(event))).toEqual([])
    expect(await listing(box, 'leases')).toEqual([])
  }),
)
