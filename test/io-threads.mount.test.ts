/** The threads that make slow calls. Needs root: only root's daemon works for others. */
import { closeSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { threadIdentity } from '../dist/passthrough/identity.js'
import type { Job } from '../dist/passthrough/io-jobs.js'
import { createIoThreads } from '../dist/passthrough/io-threads.js'

const WORKER = fileURLToPath(new URL('../dist/passthrough/io-worker.js', import.meta.url))

test('a thread that is started while another user is served makes things as those it is asked to', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'hf-io-'))
  const fd = openSync(directory, 'r')
  const io = createIoThreads({ workerFile: WORKER })
  const made = (name: string, id: number) => {
    const maker = { uid: id, gid: id, umask: 0o22, group: undefined, keepSetid: false }
    const job: Job = { kind: 'mkdir', fd, name, mode: 0o755, maker }
    return new Promise<number>((resolve) => io.submit(job, ({ result }) => resolve(result)))
  }
  try {
    threadIdentity().become(1234, 1234)
    const results = [made('of-root', 0), made('of-user', 1234)]
    await io.stop()
    expect(await Promise.all(results)).toEqual([0, 0])
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
