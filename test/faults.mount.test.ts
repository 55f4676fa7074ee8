/**
 * Faults of what is below: no room, no quota, errors of the device, read-only, files that went away outside. The program
 * that causes one gets the errno that the plain directory gives, nobody else gets any, and when the fault is over
 * everything goes on. (No more descriptors: large-trees.mount.test.ts.)
 */
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { inSandbox, type Sandbox } from './support/sandbox.js'

const FAULTS = path.join(import.meta.dirname, 'programs', 'faults.py')
const SERVE_PLAIN = path.join(import.meta.dirname, 'support', 'serve-plain.js')
const LONG_MS = 100_000

/** One call, and what came of it in the plain directory, on the mount, and perhaps for somebody else on the mount. */
interface Outcome {
  readonly call: string
  readonly plain: string
  readonly mount: string
  readonly bystander: string | undefined
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

async function faults(box: Sandbox, ...args: string[]): Promise<Outcome[]> {
  const output = await box.must('exec python3 "$@"', { args: [FAULTS, ...args], timeoutMs: LONG_MS })
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [call = '', plain = '', mount = '', bystander] = line.split('\t')
      return { call, plain, mount, bystander }
    })
}

async function outcomes(box: Sandbox, { plain, mount }: Twins, ...only: string[]): Promise<Outcome[]> {
  const chosen = only.length === 0 ? [] : ['--only', only.join('|')]
  return await faults(box, 'calls', ...chosen, plain, mount)
}

/** Those that differ, apart from the ones that are known to, by the name of the call. */
function differences(all: readonly Outcome[], known: readonly string[] = []): Outcome[] {
  return all.filter(({ call, plain, mount }) => plain !== mount && !known.includes(call))
}

/** The calls that fail with this errno in the plain directory: that the fault is there is not taken for granted. */
function failing(all: readonly Outcome[], errno: string): string[] {
  return all.filter(({ plain }) => plain === errno).map(({ call }) => call)
}

/** The fault is over: what was prepared is there, and every call does on the mount what it does below. */
async function goesOn(box: Sandbox, pair: Twins): Promise<void> {
  const all = await outcomes(box, pair, ...REPRESENTATIVES)
  expect(all.filter(({ plain, mount }) => plain !== 'ok' || mount !== 'ok')).toEqual([])
}

const REPRESENTATIVES = [
  ...['read', 'overwrite, fsync', 'write into a hole', 'store, msync', 'create', 'mkdir', 'rename', 'unlink'],
  ...['setxattr', 'truncate', 'punch a hole', 'copy_file_range', 'list', 'chmod'],
]

const WAYS = [
  { way: 'with passthrough', options: [] },
  { way: 'without passthrough', options: ['--no-passthrough'] },
] as const

describe.each(WAYS)('$way', ({ options }) => {
  /**
   * A store into a hole is refused at once below, with SIGBUS; without passthrough the page is the mount's own, and its
   * way to the disk fails later: msync(2) tells.
   */
  const known: string[] = options.length === 0 ? [] : ['store into a hole, msync']

  test(
    'ENOSPC of a full ext4 reaches whoever writes; with room again everything goes on',
    inSandbox(async (box) => {
      const pair = await twins(box, box.work, options)
      await box.bash('head -c 200M /dev/zero > "$1"; sync', { args: [`${box.work}/filler`] })
      const full = await outcomes(box, pair)
      expect(differences(full, known)).toEqual([])
      expect(failing(full, 'ENOSPC')).toEqual(
        expect.arrayContaining(['write into a hole', 'write until it is full', 'mkdir', 'fallocate']),
      )
      await box.must('rm "$1"', { args: [`${box.work}/filler`] })
      await goesOn(box, pair)
    }),
  )

  test(
    'ENOSPC of a full tmpfs, for blocks and for inodes, is the same on the mount',
    inSandbox(async (box) => {
      const fileSystem = `${box.outside}/fs`
      await box.must('mkdir "$1" && mount -t tmpfs -o size=48m,nr_inodes=60 tmpfs "$1"', {
        args: [fileSystem],
      })
      const pair = await twins(box, fileSystem, options)
      await box.bash('head -c 100M /dev/zero > "$1"', { args: [`${fileSystem}/filler`] })
      const full = await outcomes(box, pair)
      expect(differences(full, known)).toEqual([])
      expect(failing(full, 'ENOSPC')).toContain('write into a hole')
      await box.must('rm "$1/filler"; i=0; while : > "$1/f$i"; do i=$((i + 1)); done 2>/dev/null; :', {
        args: [fileSystem],
      })
      const noInodes = await outcomes(box, pair, 'create', 'mkdir', 'mknod', 'symlink', 'overwrite', 'rename')
      expect(differences(noInodes)).toEqual([])
      expect(failing(noInodes, 'ENOSPC')).toEqual(['create', 'mkdir', 'mknod', 'symlink'])
      await box.must('rm "$1"/f*', { args: [fileSystem] })
      await goesOn(box, pair)
      expect((await box.umount(pair.mount)).code).toBe(0)
      await box.must('umount "$1"', { args: [fileSystem] })
    }),
  )

  test(
    'EROFS of a file system that became read-only below is the same on the mount, until it can be written again',
    inSandbox(async (box) => {
      const pair = await twins(box, box.work, options)
      // Files that the engine keeps to be quick must not keep it from becoming read-only.
      await outcomes(box, pair, 'open to write', 'overwrite')
      await box.must('mount -o remount,ro "$1"', { args: [box.work] })
      const readOnly = await outcomes(box, pair)
      expect(differences(readOnly)).toEqual([])
      expect(failing(readOnly, 'EROFS')).toEqual(
        expect.arrayContaining([
          'open to write',
          'create',
          'rename',
          'unlink',
          'setxattr',
          'truncate',
          'chmod',
        ]),
      )
      await box.must('mount -o remount,rw "$1"', { args: [box.work] })
      await goesOn(box, pair)
    }),
  )

  test(
    'a file that is removed or replaced outside is gone or the new one, at once where it is opened: no ESTALE',
    inSandbox(async (box) => {
      const { backing, mount } = await twins(box, box.work, options)
      const script = [
        'stat "$2/gone" "$2/moved" "$2/small" > /dev/null',
        'rm "$1/gone"; echo new > "$1/new"; mv "$1/new" "$1/moved"; mv "$1/small" "$1/sub/small"',
        'cat "$2/gone" 2>&1; truncate -s 9 -c "$2/gone"; cat "$2/moved"; cat "$2/small" 2>&1; wc -c < "$2/sub/small"',
        'echo again > "$2/gone"; cat "$1/gone"',
      ]
      const said = await box.must(script.join('\n'), { args: [backing, mount] })
      const nothing = (name: string) => `cat: ${mount}/${name}: No such file or directory`
      expect(said.split('\n')).toEqual([nothing('gone'), 'new', nothing('small'), '4096', 'again', ''])
    }),
  )

  test(
    'EIO of a device is the same on the mount, and concerns nobody who does not need the device',
    inSandbox(async (box) => {
      // An ext4 image on a file system that fails on command: whatever the loop device asks of it gets EIO.
      const [served, list, fileSystem] = ['served', 'faults', 'fs'].map((name) => `${box.outside}/${name}`)
      await box.must(
        'mkdir "$1" "$3" tree && : > "$2" && truncate -s 96M tree/bad && mkfs.ext4 -q -F -O ^has_journal tree/bad',
        { args: [served ?? '', list ?? '', fileSystem ?? ''] },
      )
      const server = await serveFaulty(box, list ?? '', served ?? '')
      await box.must('mount -o loop,errors=continue "$1/bad" "$2"', {
        args: [served ?? '', fileSystem ?? ''],
      })
      const pair = await twins(box, fileSystem ?? '', options)
      await box.must('sync; echo 1 > /proc/sys/vm/drop_caches; echo "read 5" > "$1"', { args: [list ?? ''] })
      const reading = await outcomes(box, pair, 'read', 'read directly', 'load from a mapping', 'stat')
      expect(differences(reading)).toEqual([])
      expect(failing(reading, 'EIO')).toEqual(['read', 'read directly'])
      await box.must(': > "$1"', { args: [list ?? ''] })
      await box.must('sync; printf "write 5\\nfsync 5\\nfallocate 5\\n" > "$1"', { args: [list ?? ''] })
      const writing = await outcomes(
        ...([box, pair] as const),
        ...[
          'overwrite, fsync',
          'overwrite, fdatasync',
          'overwrite, O_SYNC',
          'store, msync',
          'store, fsync',
          'stat',
        ],
      )
      expect(differences(writing)).toEqual([])
      expect(failing(writing, 'EIO')).toContain('overwrite, fsync')
      await box.must(': > "$1"; sync', { args: [list ?? ''] })
      await goesOn(box, pair)
      expect((await box.umount(pair.mount)).code).toBe(0)
      await box.must('umount "$1" && umount "$2"', { args: [fileSystem ?? '', served ?? ''] })
      await server.ended
    }),
  )

  test(
    'every errno of a file system below reaches the program that met it, and nobody else',
    inSandbox(async (box) => {
      const [served, list] = [`${box.outside}/served`, `${box.outside}/faults`]
      await box.must('mkdir "$1" tree && : > "$2"', { args: [served, list] })
      const server = await serveFaulty(box, list, served)
      const pair = await twins(box, served, options)
      const places = [`${pair.plain}/bad`, `${pair.mount}/bad`, `${pair.mount}/good`]
      for (const place of places) {
        await box.must('mkdir "$1" && python3 "$2" prepare "$1"', { args: [place, FAULTS] })
      }
      const all = await faults(box, 'served', list, ...places)
      expect(differences(all)).toEqual([])
      expect(all.filter(({ bystander }) => bystander !== 'ok')).toEqual([])
      // "write EIO: overwrite" has to fail with EIO, and so on; what a mapping cannot load ends the process.
      const expected = ({ call }: Outcome) =>
        call.endsWith('mapping') ? 'SIGBUS' : /^\S+ (\w+):/.exec(call)?.[1]
      expect(all.filter((outcome) => outcome.plain !== expected(outcome))).toEqual([])
      expect(all.length).toBeGreaterThan(60)
      expect((await box.umount(pair.mount)).code).toBe(0)
      await box.must('umount "$1"', { args: [served] })
      await server.ended
    }),
  )

  test(
    'EDQUOT of a quota group of btrfs is the same on the mount',
    inSandbox(async (box) => {
      const fileSystem = `${box.outside}/fs`
      await box.must(
        'mkdir "$1" && truncate -s 300M "$2" && mkfs.btrfs -q "$2" && mount -o loop "$2" "$1" && btrfs -q quota enable "$1"',
        { args: [fileSystem, `${box.outside}/image`] },
      )
      const pair = await twins(box, fileSystem, options)
      await box.must('sync; btrfs -q qgroup limit 60M "$1"', { args: [fileSystem] })
      const calls = ['write until it is full', 'fallocate', 'overwrite', 'create', 'stat']
      const all = await outcomes(box, pair, ...calls)
      expect(differences(all)).toEqual([])
      expect(failing(all, 'EDQUOT')).toContain('write until it is full')
      await box.must('btrfs -q qgroup limit none "$1"', { args: [fileSystem] })
      expect((await outcomes(box, pair, 'write into a hole')).map(({ mount }) => mount)).toEqual(['ok'])
      expect((await box.umount(pair.mount)).code).toBe(0)
      await box.must('umount "$1"', { args: [fileSystem] })
    }),
  )
})

/** A FUSE file system over `tree` of the sandbox that fails as the lines of a file say; see serve-plain.js. */
async function serveFaulty(box: Sandbox, list: string, mountpoint: string) {
  const options = ['--no-passthrough', '--faults', list]
  const server = box.start([process.execPath, SERVE_PLAIN, ...options, `${box.work}/tree`, mountpoint])
  await server.says('ready')
  return server
}
