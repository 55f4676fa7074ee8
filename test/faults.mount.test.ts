/**
 * Faults of what is below: no room, no quota, errors of the device, read-only, files that went away outside, no more
 * descriptors. The program that causes one gets the errno that the plain directory gives, nobody else gets any, and
 * when the fault is over everything goes on.
 */
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { inSandbox, type Sandbox } from './support/sandbox.js'

const FAULTS = path.join(import.meta.dirname, 'programs', 'faults.py')
const SERVE_PLAIN = path.join(import.meta.dirname, 'support', 'serve-plain.js')

/** One call, and what came of it in the plain directory and on the mount. */
interface Outcome {
  readonly call: string
  readonly plain: string
  readonly mount: string
}

interface Twins {
  readonly plain: string
  readonly backing: string
  readonly mount: string
}

/** Two directories that are alike, of which one is mounted. */
async function twins(box: Sandbox, fileSystem: string, options: readonly string[]): Promise<Twins> {
  const [plain, backing, mount] = [`${fileSystem}/plain`, `${fileSystem}/backing`, `${box.outside}/mnt`]
  await box.must('mkdir -p "$1" "$2" "$3" && python3 "$4" prepare "$1" "$2"', {
    args: [plain, backing, mount, FAULTS],
  })
  await box.mount(backing, mount, ...options)
  return { plain, backing, mount }
}

function parse(output: string): Outcome[] {
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [call = '', plain = '', mount = ''] = line.split('\t')
      return { call, plain, mount }
    })
}

async function outcomes(box: Sandbox, { plain, mount }: Twins, ...only: string[]): Promise<Outcome[]> {
  const chosen = only.length === 0 ? [] : ['--only', only.join('|')]
  return parse(await box.must('python3 "$@"', { args: [FAULTS, 'calls', ...chosen, plain, mount] }))
}

/** Those that differ, apart from the ones that are known to, by the name of the call. */
function differences(all: readonly Outcome[], known: readonly string[] = []): Outcome[] {
  return all.filter(({ call, plain, mount }) => plain !== mount && !known.includes(call))
}

/** The calls whose outcome on the mount is this one. */
function callsWith(all: readonly Outcome[], outcome: string): string[] {
  return all.filter(({ mount }) => mount === outcome).map(({ call }) => call)
}

const WAYS = [
  { way: 'with passthrough', options: [] },
  { way: 'without passthrough', options: ['--no-passthrough'] },
] as const

describe.each(WAYS)('$way', ({ options }) => {
  test(
    'ENOSPC of a full ext4 reaches whoever writes, and nobody else; with room again everything works',
    inSandbox(async (box) => {
      const pair = await twins(box, box.work, options)
      expect(differences(await outcomes(box, pair))).toEqual([])
      await box.must('head -c 200M /dev/zero > "$1"; sync; : > "$2"', {
        args: [`${box.work}/filler`, `${box.work}/touched`],
      })
      const full = await outcomes(box, pair)
      console.log(full)
      expect(differences(full)).toEqual([])
      await box.must('rm "$1"', { args: [`${box.work}/filler`] })
      const after = await outcomes(box, pair)
      expect(differences(after)).toEqual([])
    }),
  )

  test(
    'every errno of a file system below reaches the program that met it, and nobody else',
    inSandbox(async (box) => {
      const served = `${box.outside}/served`
      const faults = `${box.outside}/faults`
      await box.must('mkdir "$1" && : > "$2" && mkdir tree', { args: [served, faults] })
      const server = box.start([
        process.execPath,
        SERVE_PLAIN,
        '--no-passthrough',
        '--faults',
        faults,
        `${box.work}/tree`,
        served,
      ])
      await server.says('ready')
      const pair = await twins(box, served, options)
      for (const directory of [pair.plain, pair.backing]) {
        await box.must('mkdir "$1/bad" "$1/good" && python3 "$2" prepare "$1/bad" "$1/good"', {
          args: [directory, FAULTS],
        })
      }
      const all = parse(
        await box.must('python3 "$@"', {
          args: [FAULTS, 'served', faults, `${pair.plain}/bad`, `${pair.mount}/bad`],
          timeoutMs: 100_000,
        }),
      )
      expect(differences(all)).toEqual([])
      console.log(all.filter(({ call, plain }) => !call.includes(` ${plain}: `)))
      expect((await box.umount(pair.mount)).code).toBe(0)
      await box.must('umount "$1"', { args: [served] })
      await server.ended
    }),
  )
})
