/**
 * Large trees on a small scale (`npm run trees` does the same with a million files): the engine remembers every file in
 * few bytes, gives them back when the kernel has forgotten it, lists directories that change meanwhile, and bounds its
 * own descriptors however many files are open.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { eventually } from './support/eventually.js'
import { HOLDFAST, program } from './support/programs.js'
import { inSandbox, type Sandbox } from './support/sandbox.js'

const FILE_COUNT = 50_000
/** Twice the 100 bytes or so of a record and its name: tables grow by doubling. The heap of a busy engine is apart. */
const INODE_BYTES_MAX = 200
const BUSY_HEAP_BYTES_MAX = 40e6

/** A tmpfs below the mount: half a million inodes of ext4 take a minute to make. */
async function mounted(box: Sandbox, ...options: string[]): Promise<{ tree: string; mount: string }> {
  const [tree, mount] = [`${box.outside}/fs`, `${box.outside}/mnt`]
  await box.must('mkdir "$1" "$2" && mount -t tmpfs -o nr_inodes=0 tmpfs "$1"', { args: [tree, mount] })
  await box.mount(tree, mount, ...options)
  return { tree, mount }
}

async function manyfiles(box: Sandbox, ...args: (string | number)[]): Promise<string> {
  const result = await box.exec([program('manyfiles'), ...args.map(String)], { timeoutMs: 100_000 })
  if (result.code !== 0) throw new Error(`manyfiles ${args.join(' ')}: ${JSON.stringify(result)}`)
  return result.stdout.trim()
}

async function enginePid(box: Sandbox): Promise<number> {
  const [engine] = (await box.helpers()).engines
  if (engine === undefined) throw new Error('there is no engine')
  return engine.pid
}

function rssBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) * 1024
}

function fdCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

async function inodeCount(box: Sandbox, mount: string): Promise<number> {
  const control = box.mounts().find(({ target }) => target === mount)?.source
  const metrics = await box.must('cat "$1"', { args: [`${control}/metrics`] })
  return Number(/^holdfast_inodes (\d+)/m.exec(metrics)?.[1])
}

test(
  `${FILE_COUNT} files take at most ${INODE_BYTES_MAX} bytes each, and nothing once the kernel has forgotten them`,
  inSandbox(async (box) => {
    const { tree, mount } = await mounted(box)
    await manyfiles(box, 'make', tree, FILE_COUNT / 1000, 1000)
    const engine = await enginePid(box)
    const [rssAtStart, fdsAtStart] = [rssBytes(engine), fdCount(engine)]
    // The files are looked at twice: what is known already must not be remembered again.
    for (let round = 0; round < 2; round++) {
      const found = await box.must('find "$1" -printf "%s\\n" | wc -l', { args: [mount], timeoutMs: 100_000 })
      expect(Number(found)).toBe(FILE_COUNT + FILE_COUNT / 1000 + 1)
    }
    const grown = rssBytes(engine) - rssAtStart
    expect(grown).toBeLessThan(BUSY_HEAP_BYTES_MAX + FILE_COUNT * INODE_BYTES_MAX)
    expect(fdCount(engine)).toBeLessThan(fdsAtStart + FILE_COUNT / 1000 + 10)
    await eventually(
      'the kernel forgets, and so does the engine',
      async (saw) => {
        writeFileSync('/proc/sys/vm/drop_caches', '2')
        const [inodes, rss, fds] = [await inodeCount(box, mount), rssBytes(engine), fdCount(engine)]
        saw({ inodes, rss, fds, rssAtStart, fdsAtStart })
        return inodes < 10 && fds < fdsAtStart + 10 && rss < rssAtStart + 25e6 ? true : undefined
      },
      15_000,
    )
    expect(await box.must('cat "$1" | wc -c', { args: [`${mount}/d00007/file-0000999.txt`] })).toBe('0\n')
    expect((await box.umount(mount)).code).toBe(0)
    await box.must('umount "$1"', { args: [tree] })
  }),
)

test(
  'a directory of 50,000 entries that changes while it is listed shows each that stays once, and holds up nobody',
  inSandbox(async (box) => {
    const { tree, mount } = await mounted(box)
    await manyfiles(box, 'wide', `${tree}/wide`, FILE_COUNT)
    await box.must('mkdir "$1/other" && : > "$1/other/file"', { args: [tree] })
    const churn = manyfiles(box, 'churn', `${mount}/wide`, 4000)
    const probe = manyfiles(box, 'probe', `${mount}/other/file`, 4000)
    for (let round = 0; round < 3; round++) {
      expect(await manyfiles(box, 'list', `${mount}/wide`, 'file-', FILE_COUNT)).toBe(`listed ${FILE_COUNT}`)
    }
    expect(Number(/^churned (\d+)$/.exec(await churn)?.[1])).toBeGreaterThan(10)
    // Bounded by what one answer may take, not by the directory; with much room for a machine that is busy.
    expect(Number(/^slowest (\d+)$/.exec(await probe)?.[1])).toBeLessThan(1_000_000)
    expect((await box.umount(mount)).code).toBe(0)
    await box.must('umount "$1"', { args: [tree] })
  }),
)

test(
  '300 processes use files of a mount at once',
  inSandbox(async (box) => {
    const { tree, mount } = await mounted(box)
    await manyfiles(box, 'wide', `${tree}/wide`, 300)
    expect(await manyfiles(box, 'processes', `${mount}/wide`, 300)).toBe('processes 300 failed 0')
    expect((await box.umount(mount)).code).toBe(0)
    await box.must('umount "$1"', { args: [tree] })
  }),
)

/** Mounts with a hard limit of descriptors, which an engine without CAP_SYS_RESOURCE cannot raise. */
async function mountedWithLimit(box: Sandbox, limit: number, ...options: string[]) {
  const [tree, mount] = [`${box.outside}/fs`, `${box.outside}/mnt`]
  await box.must('mkdir "$1" "$2" && mount -t tmpfs -o nr_inodes=0 tmpfs "$1"', { args: [tree, mount] })
  await box.must('ulimit -n "$1"; shift; exec setpriv --bounding-set -sys_resource "$@"', {
    args: [String(limit), HOLDFAST, 'mount', tree, mount, ...options],
  })
  return { tree, mount }
}

test(
  'with passthrough, 2,000 files are open at once though the engine may have 256 descriptors',
  inSandbox(async (box) => {
    const { tree, mount } = await mountedWithLimit(box, 256)
    await manyfiles(box, 'wide', `${tree}/wide`, 2000)
    const engine = await enginePid(box)
    const holder = box.start([program('manyfiles'), 'open', `${mount}/wide`, '2000'], { stdin: 'pipe' })
    await holder.says('opened', 60_000)
    expect(holder.stdout).toBe('opened 2000\n')
    expect(fdCount(engine)).toBeLessThan(256)
    expect(await box.must('ls "$1" | wc -l', { args: [`${mount}/wide`] })).toBe('2000\n')
    holder.closeInput()
    await holder.ended
    expect((await box.umount(mount)).code).toBe(0)
    await box.must('umount "$1"', { args: [tree] })
  }),
)

test.each([64, 256])(
  'without passthrough, a program that opens all that an engine with %i descriptors may gets EMFILE, nobody else does',
  async (limit) => {
    await inSandbox(async (box) => {
      const { tree, mount } = await mountedWithLimit(box, limit, '--no-passthrough')
      await manyfiles(box, 'wide', `${tree}/wide`, 1000)
      await manyfiles(box, 'make', tree, 100, 3)
      const engine = await enginePid(box)
      const holder = box.start([program('manyfiles'), 'open', `${mount}/wide`, '1000'], { stdin: 'pipe' })
      await holder.says('opened', 60_000)
      expect(holder.stdout).toMatch(/^opened \d+, then EMFILE\n$/)
      // Programs that open nothing, in more directories than there are descriptors.
      const others = [
        'stat -c %s "$1"/d*/* | sort -u; mkdir "$1/new" && chmod 700 "$1/new" && rmdir "$1/new"',
        'rm "$1/d00005/file-0000001.txt" && mv "$1/d00006" "$1/d6"',
        'python3 -c "import os, sys; os.truncate(sys.argv[1], 5)" "$1/d6/file-0000000.txt"',
        'stat -c %s "$1/d6/file-0000000.txt"',
      ].join('\n')
      expect(await box.must(others, { args: [mount] })).toBe('0\n5\n')
      expect(fdCount(engine)).toBeLessThanOrEqual(limit)
      holder.closeInput()
      await holder.ended
      // Everything goes on, listing and opening included.
      const after =
        'find "$1" | wc -l; cat "$1"/d*/* "$1"/wide/* | wc -c; echo more > "$1/wide/more"; cat "$1/wide/more"'
      expect(await box.must(after, { args: [mount] })).toBe('1401\n5\nmore\n')
      expect((await box.umount(mount)).code).toBe(0)
      await box.must('umount "$1"', { args: [tree] })
    })()
  },
)

test(
  'the engine may open as many files as the system lets it, whatever the soft limit of who mounts; doctor tells how many',
  inSandbox(async (box) => {
    const mount = path.join(box.work, 'tree')
    await box.must('mkdir tree && ulimit -S -n 100 && exec "$1" mount tree', { args: [HOLDFAST] })
    const limits = readFileSync(`/proc/${await enginePid(box)}/limits`, 'latin1')
    const [, soft, hard] = /^Max open files\s+(\d+)\s+(\d+)/m.exec(limits) ?? []
    expect(Number(soft)).toBeGreaterThan(100)
    expect(soft).toBe(hard)
    const doctor = await box.must('ulimit -S -n 100 && exec "$1" doctor', { args: [HOLDFAST] })
    expect(doctor).toContain(`open files: ${soft} at most: `)
    expect((await box.umount(mount)).code).toBe(0)
  }),
)
