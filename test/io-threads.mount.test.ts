/** The threads that make slow calls. Needs root: only root's daemon works for others. */
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Errno } from '../dist/lib/errno.js'
import { threadIdentity } from '../dist/passthrough/io/identity.js'
import type { Finished, Job } from '../dist/passthrough/io/jobs.js'
import { createIoThreads, type ThreadedIo } from '../dist/passthrough/io/threads.js'

const WORKER = fileURLToPath(new URL('../dist/passthrough/io/worker.js', import.meta.url))

const ROOT = { uid: 0, gid: 0, umask: 0o22, group: null, keepSetid: false }

function submitTo(io: ThreadedIo, job: Job): Promise<Finished> {
  return new Promise((resolve) => io.submit(job, resolve))
}

test('a thread that is started while another user is served makes things as those it is asked to', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'hf-io-'))
  const fd = openSync(directory, 'r')
  const io = createIoThreads({ workerFile: WORKER })
  const made = (name: string, id: number) => {
    return submitTo(io, { kind: 'mkdir', fd, name, mode: 0o755, maker: { ...ROOT, uid: id, gid: id } })
  }
  try {
    threadIdentity().become({ uid: 1234, gid: 1234 })
    const results = [made('of-root', 0), made('of-user', 1234)]
    await io.stop()
    expect((await Promise.all(results)).map(({ result }) => result)).toEqual([0, 0])
    const owners = ['of-root', 'of-user'].map((name) => {
      const { uid, gid } = statSync(path.join(directory, name))
      return `${uid}:${gid}`
    })
    expect(owners).toEqual(['0:0', '1234:1234'])
  } finally {
    threadIdentity().becomeDaemon()
    closeSync(fd)
    rmSync(directory, { recursive: true })
  }
})

/** Threads of this program, with results handed out whenever something happens to a thread. */
async function withThreads(
  program: string,
  action: (io: ThreadedIo, fd: number, directory: string, bugs: string[]) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(path.join(tmpdir(), 'hf-io-'))
  const fd = openSync(directory, 'r')
  const workerFile = path.join(directory, 'worker.mjs')
  writeFileSync(workerFile, program)
  const io = createIoThreads({ workerFile, threadCountMax: 2 })
  const bugs: string[] = []
  const timer = setInterval(() => {
    try {
      io.collect()
    } catch (bug) {
      bugs.push(String(bug))
    }
  }, 5)
  try {
    await action(io, fd, directory, bugs)
  } finally {
    clearInterval(timer)
    await io.stop()
    closeSync(fd)
    rmSync(directory, { recursive: true })
  }
}

test('where no thread can be started, jobs are done all the same, and that is reported', async () => {
  await withThreads('throw new Error("no thread today")', async (io, fd, directory, bugs) => {
    const names = ['a', 'b', 'c', 'd']
    const jobs = names.map((name) => submitTo(io, { kind: 'mkdir', fd, name, mode: 0o755, maker: ROOT }))
    expect((await Promise.all(jobs)).map(({ result }) => result)).toEqual([0, 0, 0, 0])
    expect(names.filter((name) => existsSync(path.join(directory, name)))).toEqual(names)
    await expect.poll(() => bugs).toContain('Error: no thread today')
    expect(io.pendingCount).toBe(0)
  })
})

test('a thread that dies leaves nobody waiting: what it had begun fails, and others take its place', async () => {
  // Does its first job, and dies of the second.
  const program = `
    import { workerData } from 'node:worker_threads'
    let count = 0
    workerData.port.on('message', ({ id }) => {
      if (++count === 2) process.exit(1)
      workerData.port.postMessage({ id, finished: { result: 7, durationMs: 0, hasSlept: false } })
    })`
  await withThreads(program, async (io, fd) => {
    for (const result of [7, -Errno.EIO, 7, -Errno.EIO]) {
      expect(await submitTo(io, { kind: 'syncfs', fd })).toMatchObject({ result })
    }
  })
})

test('a job that throws fails with EIO, is reported, and its thread goes on', async () => {
  await withThreads(`await import(${JSON.stringify(WORKER)})`, async (io, fd, directory, bugs) => {
    const broken = await submitTo(io, { kind: 'read', fd, offset: 0, size: -1, aheadSize: 0 })
    expect(broken.result).toBe(-Errno.EIO)
    expect(bugs.join()).toContain('RangeError')
    const good = await submitTo(io, { kind: 'mkdir', fd, name: 'good', mode: 0o755, maker: ROOT })
    expect(good.result).toBe(0)
    expect(existsSync(path.join(directory, 'good'))).toBe(true)
    expect(bugs.length).toBe(1)
  })
})
