/**
 * How long the protection of `holdfast run` lasts, and that nothing stays behind: whoever is killed, however
 * many run at once, whatever happens to the name of FILE meanwhile.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Script } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { readEvents } from './support/events.js'
import { eventuallyTrue } from './support/eventually.js'
import { HOLDFAST } from './support/programs.js'
import { inSandbox, PLAIN_ENVIRONMENT, type Running, type Sandbox, SOON_MS } from './support/sandbox.js'

async function isProtected(box: Sandbox, file: string): Promise<boolean> {
  const { code, stderr } = await box.bash('truncate -s -1 "$1"', { args: [file] })
  if (code !== 0 && !stderr.includes('Text file busy')) throw new Error(stderr)
  return code !== 0
}

async function expectProtected(box: Sandbox, file: string): Promise<void> {
  expect(await isProtected(box, file), `${file} is protected`).toBe(true)
}

/** Nothing of Holdfast is there, and FILE can be changed in every way that was refused. */
async function expectFree(box: Sandbox, file: string): Promise<void> {
  expect(box.fuseMounts()).toEqual([])
  await box.must(
    'truncate -s 100 "$1" && fallocate -p -l 10 "$1" && mv "$1" "$1.moved" && mv "$1.moved" "$1"',
    {
      args: [file],
    },
  )
}

function kill(pid: number): void {
  process.kill(pid, 'SIGKILL')
}

describe('run: who is killed', () => {
  test(
    'L7, P6: kill -9 of COMMAND: within a second lease, pin and mount are gone',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const running = await box.run([file])
      await expectProtected(box, file)
      kill(running.pid)
      const took = await box.allGone()
      expect(took).toBeLessThan(SOON_MS)
      expect(await running.ended).toMatchObject({ signal: 'SIGKILL' })
      await expectFree(box, file)
    }),
  )

  test(
    'L7: the lease outlives COMMAND as long as a child has its descriptor; the mount goes with the child',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const running = await box.run([file], 'sleep 1000 & echo child $!; echo started; exec sleep 1000')
      const child = Number(/child (\d+)/.exec(running.stdout)?.[1])
      kill(running.pid)
      await eventuallyTrue(
        'COMMAND is dead',
        () => !existsSync(`/proc/${running.pid}/cmdline`) || isZombie(running),
      )
      await expectProtected(box, file)
      kill(child)
      await box.allGone()
      await expectFree(box, file)
    }),
  )

  test(
    'run: kill -9 of every helper besides the engine: COMMAND keeps its protection, nothing stays behind',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const running = await box.run([file])
      for (const helper of (await box.helpers()).others) kill(helper.pid)
      for (let round = 0; round < 5; round++) await expectProtected(box, file)
      expect(await box.must('head -c 3 "$1"', { args: [file] })).toBe('AAA')
      kill(running.pid)
      await box.allGone()
      await expectFree(box, file)
    }),
  )

  test(
    'run: kill -9 of every helper, then of the engine: the next holdfast command cleans up',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const running = await box.run([file])
      const { others, engines } = await box.helpers()
      for (const line of [...others, ...engines]) kill(line.pid)
      await box.holdfast('status')
      await expectFree(box, file)
      await running.kill()
    }),
  )

  test(
    'run: kill -9 of the engine: the mount is removed and FILE is usable at once, with no dead mount between',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const running = await box.run([file])
      for (const engine of (await box.helpers()).engines) kill(engine.pid)
      await eventuallyTrue(
        'FILE can be read through its path',
        async (saw) => {
          const { code, stderr } = await box.bash('head -c 3 "$1"', { args: [file] })
          saw(stderr)
          return code === 0
        },
        SOON_MS,
      )
      await box.allGone()
      await expectFree(box, file)
      expect(running.result, 'COMMAND goes on').toBeUndefined()
      await running.kill()
    }),
  )

  test.each([['the data mount'], ['the control mount'], ['every mount']])(
    'an administrator aborts the connection of %s: nothing is left that says "not connected"',
    async (which) => {
      await inSandbox(async (box) => {
        const file = await box.file('data')
        const running = await box.run([file])
        for (const mount of box.fuseMounts()) {
          const isData = mount.target.endsWith('data')
          if (which === 'every mount' || isData === (which === 'the data mount')) box.abort(mount)
        }
        if (which === 'the control mount') await expectProtected(box, file)
        else await box.allGone()
        expect(running.result, 'COMMAND goes on').toBeUndefined()
        await running.kill()
        await box.allGone()
        await expectFree(box, file)
      })()
    },
  )

  test(
    'run: a COMMAND whose engine was killed can still be ended, and no later one is disturbed',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const first = await box.run([file])
      for (const engine of (await box.helpers()).engines) kill(engine.pid)
      await box.allGone()
      const second = await box.run([file])
      await expectProtected(box, file)
      await first.kill()
      await expectProtected(box, file)
      await second.kill()
      await box.allGone()
    }),
  )

  test.each([['status'], ['leases'], ['doctor']])(
    'run: kill -9 of every process of Holdfast: `holdfast %s` removes the dead mount',
    async (command) => {
      await inSandbox(async (box) => {
        const file = await box.file('data')
        const running = await box.run([file])
        for (const daemon of box.daemons()) kill(daemon.pid)
        await running.kill()
        await eventuallyTrue('no process of Holdfast is left', () => box.daemons().length === 0)
        await box.holdfast(command)
        expect(box.fuseMounts()).toEqual([])
        await expectFree(box, file)
      })()
    },
  )

  test(
    'run: kill -9 of everything, then another run of the same FILE: it works and leaves nothing',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const first = await box.run([file])
      for (const daemon of box.daemons()) kill(daemon.pid)
      await first.kill()
      const second = await box.run([file])
      await expectProtected(box, file)
      await second.kill()
      await box.allGone()
      await expectFree(box, file)
    }),
  )

  test(
    'run: killing the whole session of COMMAND (a closed terminal) does not take the daemon along',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const running = await box.run([file], 'trap "" HUP; echo started; sleep 1000 & wait')
      process.kill(-running.pid, 'SIGHUP')
      await expectProtected(box, file)
      await running.kill()
      await box.allGone()
      await expectFree(box, file)
    }),
  )

  test(
    'run: a cgroup kill of COMMAND does not take the daemon along',
    inSandbox(async (box) => {
      const cgroup = `/sys/fs/cgroup/unified/holdfast-test-${process.pid}`
      if (!existsSync('/sys/fs/cgroup/unified/cgroup.procs')) return // Without cgroup2 there is no such kill.
      const file = await box.file('data')
      mkdirSync(cgroup)
      try {
        const script = `echo $$ > ${cgroup}/cgroup.procs; exec ${HOLDFAST} run data -- sh -c "echo started; exec sleep 1000"`
        const running = box.start(['bash', '-c', script])
        await running.says('started')
        writeFileSync(`${cgroup}/cgroup.kill`, '1')
        await running.ended
        await box.allGone()
        await expectFree(box, file)
      } finally {
        const empty = (): boolean => readFileSync(`${cgroup}/cgroup.procs`, 'utf8') === ''
        await eventuallyTrue('the cgroup is empty', empty)
        rmdirSync(cgroup)
      }
    }),
  )

  test.each<[string, NodeJS.Signals, boolean]>([
    ['kill -9 of the launcher', 'SIGKILL', false],
    ['SIGTERM to the launcher', 'SIGTERM', false],
    ['Ctrl-C, which reaches the whole group', 'SIGINT', true],
    ['SIGKILL to the whole group', 'SIGKILL', true],
  ])('run: %s at any moment of the start leaves nothing behind', async (_name, signal, group) => {
    await inSandbox(async (box) => {
      const file = await box.file('data')
      for (let afterMs = 0; afterMs <= 130; afterMs += 10) {
        const running = box.start([HOLDFAST, 'run', file, '--', 'sleep', '1000'])
        // The moment is what is tried here: there is nothing to wait for.
        await new Promise((resolve) => setTimeout(resolve, afterMs))
        process.kill(group ? -running.pid : running.pid, signal)
        await running.ended
        await box.allGone(SOON_MS + 3_000)
      }
      await expectFree(box, file)
    })()
  })
})

function isZombie(running: Running): boolean {
  return / Z /.test(readFileSync(`/proc/${running.pid}/stat`, 'latin1'))
}

describe('run: several at once', () => {
  test.each([
    ['the first ends first', 0, 1],
    ['the second ends first', 1, 0],
  ])('run: two runs of one FILE share a mount, %s', async (_name, sooner, later) => {
    await inSandbox(async (box) => {
      const file = await box.file('data')
      const runs = [await box.run([file]), await box.run([file])]
      expect(box.dataMounts().map((mount) => mount.target)).toEqual([file])
      await runs[sooner]?.kill()
      await expectProtected(box, file)
      expect(box.isMounted(file)).toBe(true)
      await runs[later]?.kill()
      await box.allGone()
      await expectFree(box, file)
    })()
  })

  test(
    'run: six runs of one FILE started at the same moment all start, on one mount',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const runs = await Promise.all(Array.from({ length: 6 }, () => box.run([file])))
      expect(box.dataMounts()).toHaveLength(1)
      await Promise.all(runs.slice(1).map((run) => run.kill()))
      await expectProtected(box, file)
      await runs[0]?.kill()
      await box.allGone()
      await expectFree(box, file)
    }),
  )

  test(
    'run: starting while the last one ends: each start finds the file protected',
    inSandbox(async (box) => {
      const file = await box.file('data')
      for (let round = 0; round < 4; round++) {
        const ending = await box.run([file])
        const [next] = await Promise.all([box.run([file]), ending.kill()])
        await expectProtected(box, file)
        await next.kill()
      }
      await box.allGone()
    }),
  )

  test(
    'run: runs of different FILEs do not disturb each other',
    inSandbox(async (box) => {
      const files = [await box.file('one'), await box.file('two')]
      const [first, second] = await Promise.all(files.map((file) => box.run([file])))
      await first?.kill()
      await eventuallyTrue('the first FILE is free', () => !box.isMounted(files[0] ?? ''), SOON_MS)
      await expectProtected(box, files[1] ?? '')
      await second?.kill()
      await box.allGone()
    }),
  )
})

describe('run: which FILE', () => {
  test(
    'run: a symlink: its target is protected, by every name',
    inSandbox(async (box) => {
      const file = await box.file('directory/data')
      await box.must('ln -s directory/data link && ln -s link second')
      const running = await box.run([path.join(box.work, 'second')])
      for (const name of ['second', 'link', 'directory/data']) await expectProtected(box, name)
      expect(box.dataMounts().map((mount) => mount.target)).toEqual([file])
      expect((await box.bash('mv directory/data x')).stderr).toContain('Device or resource busy')
      await running.kill()
      await box.allGone()
      await expectFree(box, file)
    }),
  )

  test(
    'run: several FILEs are all protected, and all free afterwards',
    inSandbox(async (box) => {
      const files = await Promise.all(['a', 'b', 'c/d'].map((name) => box.file(name)))
      const running = await box.run(files)
      for (const file of files) await expectProtected(box, file)
      await running.kill()
      await box.allGone()
      for (const file of files) await expectFree(box, file)
    }),
  )

  test(
    'run: twelve FILEs: more than a shell has one-digit descriptors',
    inSandbox(async (box) => {
      const names = Array.from({ length: 12 }, (_unused, index) => `file-${index}`)
      const files = await Promise.all(names.map((name) => box.file(name, 4096)))
      const running = await box.run(files)
      for (const file of files) await expectProtected(box, file)
      await running.kill()
      await box.allGone()
      for (const file of files) await expectFree(box, file)
    }),
  )

  test(
    'run: the same FILE twice, also by two names, is one FILE',
    inSandbox(async (box) => {
      const file = await box.file('data')
      await box.must('ln -s data link')
      const running = await box.run([file, file, path.join(box.work, 'link')])
      await expectProtected(box, file)
      expect(box.dataMounts()).toHaveLength(1)
      await running.kill()
      await box.allGone()
    }),
  )

  test.each([
    ['the first', ['missing', 'a', 'b']],
    ['the last', ['a', 'b', 'missing']],
  ])(
    'run: several FILEs, %s of them missing: one line, exit code 1, nothing mounted',
    async (_name, names) => {
      await inSandbox(async (box) => {
        await box.file('a')
        await box.file('b')
        const result = await box.exec([HOLDFAST, 'run', ...names, '--', 'echo', 'it ran'])
        expect(result).toMatchObject({ code: 1, stdout: '' })
        expect(result.stderr.trim().split('\n')).toHaveLength(1)
        expect(result.stderr).toContain('missing')
        await box.allGone()
        await expectFree(box, 'a')
      })()
    },
  )

  test(
    'run: a FILE below a Holdfast mount is leased there: no second mount, and it goes without the first',
    inSandbox(async (box) => {
      const file = await box.file('tree/data')
      const tree = path.join(box.work, 'tree')
      await box.mount(tree)
      const running = await box.run([file])
      expect(box.dataMounts().map((mount) => mount.target)).toEqual([tree])
      await expectProtected(box, file)
      const own = await box.exec([HOLDFAST, 'run', file, '--', 'truncate', '-s', '0', file])
      expect(own.stderr).toContain('Resource deadlock avoided')
      await running.kill()
      await eventuallyTrue('the lease is gone', async () => !(await isProtected(box, file)), SOON_MS)
      expect(box.isMounted(tree)).toBe(true)
    }),
  )

  test(
    'P7: below a Holdfast mount FILE can be unlinked; COMMAND keeps its data',
    inSandbox(async (box) => {
      const file = await box.file('tree/data', 4096)
      await box.mount(path.join(box.work, 'tree'))
      const running = await box.run(
        [file],
        'exec 3<"$0"; echo started; read x; cksum <&3'.replace('$0', file),
        {
          stdin: 'pipe',
        },
      )
      const before = await box.must('cksum < "$1"', { args: [file] })
      await box.must('rm "$1"', { args: [file] })
      running.type('go\n')
      expect((await running.ended).stdout).toBe(`started\n${before}`)
    }),
  )

  test(
    'run: one FILE below a mount and one outside',
    inSandbox(async (box) => {
      const inside = await box.file('tree/data')
      const outside = await box.file('data')
      await box.mount(path.join(box.work, 'tree'))
      const running = await box.run([inside, outside])
      await expectProtected(box, inside)
      await expectProtected(box, outside)
      await running.kill()
      await eventuallyTrue('the mount of its own is gone', () => box.dataMounts().length === 1, SOON_MS)
    }),
  )

  test(
    'L8: a FILE opened read-only by mode 0444 is protected as well',
    inSandbox(async (box) => {
      const file = await box.file('data')
      await box.must('chmod 444 data')
      const running = await box.run([file])
      await expectProtected(box, file)
      await running.kill()
      await box.allGone()
    }),
  )

  test(
    'run: an empty FILE, and one of 1 TiB without blocks',
    inSandbox(async (box) => {
      await box.must(': > empty; truncate -s 1T sparse')
      const running = await box.run([path.join(box.work, 'empty'), path.join(box.work, 'sparse')])
      await expectProtected(box, path.join(box.work, 'sparse'))
      expect(await box.must('stat -c "%s %b" sparse; stat -c %s empty')).toBe(`${2 ** 40} 0\n0\n`)
      await running.kill()
      await box.allGone()
    }),
  )
})

/** A process that has the file open until it is killed. */
async function opener(box: Sandbox, file: string, open = 'exec 3<"$1"') {
  const process = box.start(['bash', '-c', `${open}; echo open; exec sleep 1000`, 'bash', file])
  await process.says('open')
  return process
}

describe('L10: a FILE that others have open', () => {
  test.each([
    ['for reading', 'exec 3<"$1"'],
    ['for writing', 'exec 3<>"$1"'],
  ])('run: names who has FILE open %s in one line, and starts', async (_name, open) => {
    await inSandbox(async (box) => {
      const file = await box.file('data')
      const other = await opener(box, file, open)
      const result = await box.exec([HOLDFAST, 'run', file, '--', 'echo', 'it ran'])
      expect(result).toMatchObject({ code: 0, stdout: 'it ran\n' })
      expect(result.stderr.trim().split('\n')).toHaveLength(1)
      expect(result.stderr).toContain(String(other.pid))
      expect(result.stderr).toContain('sleep')
      await box.allGone()
      await other.kill()
    })()
  })

  test(
    'run --strict refuses: exit code 1, one line, COMMAND not started, nothing mounted',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const other = await opener(box, file)
      const result = await box.exec([HOLDFAST, 'run', '--strict', file, '--', 'echo', 'it ran'])
      expect(result).toMatchObject({ code: 1, stdout: '' })
      expect(result.stderr.trim().split('\n')).toHaveLength(1)
      expect(result.stderr).toContain(String(other.pid))
      await box.allGone()
      await other.kill()
      const after = await box.exec([HOLDFAST, 'run', '--strict', file, '--', 'echo', 'it ran'])
      expect(after).toMatchObject({ code: 0, stdout: 'it ran\n', stderr: '' })
      await box.allGone()
    }),
  )

  test(
    'run: a process that only maps FILE is found and named too',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const other = await box.agent('mapper')
      const fd = await other.open(file)
      await other.number('mmap', fd, 0, 4096, 'rs')
      await other.call('close', fd)
      const result = await box.exec([HOLDFAST, 'run', '--strict', file, '--', 'true'])
      expect(result.code).toBe(1)
      expect(result.stderr).toContain(String(other.pid))
    }),
  )

  test(
    'run: a descriptor in flight in a socket, which nobody shows, is still found by --strict',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const sender = await box.agent('sender')
      const receiver = await box.agent('receiver')
      const fd = await sender.open(file)
      await sender.call('sendfd', fd, receiver.name)
      await sender.call('close', fd)
      const result = await box.exec([HOLDFAST, 'run', '--strict', file, '--', 'true'])
      expect(result.code).toBe(1)
      expect(result.stderr.trim().split('\n')).toHaveLength(1)
    }),
  )

  test(
    'run: a process that uses FILE through the mount is no stranger to a second run',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const first = await box.run([file])
      const second = await box.exec([HOLDFAST, 'run', '--strict', file, '--', 'true'])
      expect(second).toMatchObject({ code: 0, stderr: '' })
      await first.kill()
      await box.allGone()
    }),
  )

  test(
    'run: who went past the mount from the start is named to a second run too, which --strict refuses',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const other = await opener(box, file)
      const first = await box.run([file])
      const line = `holdfast: ${file} is open already, and goes past Holdfast, in ${other.pid}(sleep)\n`
      const second = await box.exec([HOLDFAST, 'run', file, '--', 'echo', 'it ran'])
      expect(second).toMatchObject({ code: 0, stdout: 'it ran\n', stderr: line })
      const third = await box.exec([HOLDFAST, 'run', '--strict', file, '--', 'echo', 'it ran'])
      expect(third).toMatchObject({ code: 1, stdout: '' })
      expect(third.stderr).toBe(line.replace('\n', '; refused because of --strict\n'))
      await expectProtected(box, file)
      await other.kill()
      await first.kill()
      await box.allGone()
    }),
  )

  test(
    'run --strict on a FILE below a mount: openers from before the mount count, names beside it do not',
    inSandbox(async (box) => {
      const file = await box.file('tree/data')
      await box.must('ln tree/data tree/beside')
      const other = await opener(box, file)
      expect((await box.holdfast('mount', 'tree')).code).toBe(0)
      const inside = await opener(box, file)
      const refused = await box.exec([HOLDFAST, 'run', '--strict', file, '--', 'true'])
      expect(refused).toMatchObject({ code: 1 })
      expect(refused.stderr).toBe(
        `holdfast: ${file} is open already, and goes past Holdfast, in ${other.pid}(sleep); refused because of --strict\n`,
      )
      await other.kill()
      const run = await box.exec([HOLDFAST, 'run', '--strict', file, '--', 'true'])
      expect(run).toMatchObject({ code: 0, stderr: '' })
      await inside.kill()
      expect((await box.holdfast('umount', 'tree')).code).toBe(0)
    }),
  )
})

describe('run: the name of FILE changes meanwhile', () => {
  test(
    'run: the directory of FILE is renamed: protected under the new path, nothing left at the end',
    inSandbox(async (box) => {
      const file = await box.file('old/sub/data')
      const running = await box.run([file])
      await box.must('mv old new')
      await expectProtected(box, path.join(box.work, 'new/sub/data'))
      const second = await box.run([path.join(box.work, 'new/sub/data')])
      await running.kill()
      await expectProtected(box, path.join(box.work, 'new/sub/data'))
      await second.kill()
      await box.allGone()
      await expectFree(box, path.join(box.work, 'new/sub/data'))
    }),
  )

  test(
    'run: another FILE takes the old path: it is not the protected one',
    inSandbox(async (box) => {
      const file = await box.file('old/data')
      const running = await box.run([file])
      await box.must('mv old new; mkdir old')
      await box.file('old/data')
      expect(await isProtected(box, file)).toBe(false)
      await expectProtected(box, path.join(box.work, 'new/data'))
      await running.kill()
      await box.allGone()
      await expectFree(box, file)
    }),
  )

  /** A second mount namespace that was copied before the run and sees nothing of it. */
  async function elsewhere(box: Sandbox): Promise<(script: string) => Promise<string>> {
    const holder = box.start(
      ['unshare', '-m', '--propagation', 'private', 'bash', '-c', 'echo ready; exec cat'],
      {
        stdin: 'pipe',
      },
    )
    await holder.says('ready')
    return async (script) => {
      return await box.must(`nsenter -t ${holder.pid} -m --wdns=${box.work} bash -c '${script}'`)
    }
  }

  test(
    'L10: the mount pulled away in another mount namespace while FILE stays the same inode: `bypassed`, attached again',
    inSandbox(async (box) => {
      const inOther = await elsewhere(box)
      const file = await box.file('data')
      const running = await box.run([file])
      const events = await readEvents(box, file)
      // The mount goes along with the name that is moved; FILE is the same inode again before that name,
      // and the mount with it, is removed.
      await inOther('mv data away && ln away data && rm away')
      await events.next((event) => event.event === 'bypassed')
      await eventuallyTrue('FILE is mounted again', () => box.isMounted(file), SOON_MS)
      await expectProtected(box, file)
      await running.kill()
      await events.stop()
      await box.allGone()
    }),
  )

  test(
    'L10: `umount -l` of FILE behind its back: `bypassed`, and the mount is attached again',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const running = await box.run([file])
      const events = await readEvents(box, file)
      await box.must('umount -l "$1"', { args: [file] })
      await events.next((event) => event.event === 'bypassed')
      await eventuallyTrue('FILE is mounted again', () => box.isMounted(file), SOON_MS)
      await expectProtected(box, file)
      await running.kill()
      await events.stop()
      await box.allGone()
    }),
  )

  test(
    'L10: the file system of FILE goes with its mountpoint, removed in another mount namespace: nothing stays behind COMMAND',
    inSandbox(async (box) => {
      await box.must('mkdir below && mount -t tmpfs tmpfs below')
      const inOther = await elsewhere(box)
      const file = await box.file('below/data')
      const running = await box.run([file])
      const events = await readEvents(box, file)
      await inOther('umount below && rmdir below')
      const event = await events.next((event) => event.event === 'bypassed')
      expect(event.reason).toMatch('cannot be attached again')
      await running.kill()
      await events.stop()
      await box.allGone()
    }),
  )

  test(
    'L10: another file is moved onto FILE in another mount namespace: `bypassed`, and that file is left alone',
    inSandbox(async (box) => {
      const inOther = await elsewhere(box)
      const file = await box.file('data')
      const command = `exec 3<'${file}'; echo started; read x; head -c 3 <&3`
      const running = await box.run([file], command, { stdin: 'pipe' })
      const events = await readEvents(box, file)
      await inOther('printf BBBBBB > new && mv new data')
      await events.next((event) => event.event === 'bypassed')
      expect(await box.must('cat data')).toBe('BBBBBB')
      await box.must(': > data')
      running.type('go\n')
      expect((await running.ended).stdout).toBe('started\nAAA')
      await events.stop()
      await box.allGone()
    }),
  )
})

describe('run: how fast', () => {
  test(
    'run: one start of Node stands between the shell and COMMAND, with compiled code that it takes',
    inSandbox(async (box) => {
      // How long it takes is for `npm run bench` to say; this is what it depends on.
      const file = await box.file('data')
      const [directory, log] = [path.join(box.outside, 'bin'), path.join(box.outside, 'starts')]
      mkdirSync(directory)
      const counting = `#!/bin/sh\necho "$*" >>'${log}'\nexec '${process.execPath}' "$@"\n`
      writeFileSync(path.join(directory, 'node'), counting, { mode: 0o755 })
      const env = { ...PLAIN_ENVIRONMENT, PATH: `${directory}:${PLAIN_ENVIRONMENT.PATH}` }
      const running = await box.run([file], 'echo started; exec sleep 1000', { env })
      expect(readFileSync(log, 'utf8').trim().split('\n')).toHaveLength(1)
      await running.kill()
      await box.allGone()
      const bundle = path.join(path.dirname(HOLDFAST), '../dist/holdfast.bundle.cjs')
      const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(bundle, 'utf8')}\n})`
      const script = new Script(source, { filename: bundle, cachedData: readFileSync(`${bundle}.cache`) })
      expect(script.cachedDataRejected).toBe(false)
    }),
  )

  test(
    'run: twenty starts and ends in a row leave no mount',
    inSandbox(async (box) => {
      await box.file('data')
      const mountsBefore = box.mounts().length
      const script = `for i in $(seq 20); do ${HOLDFAST} run data -- true || exit 1; done`
      expect(await box.bash(script, { timeoutMs: 60_000 })).toMatchObject({ code: 0, stdout: '', stderr: '' })
      await box.allGone()
      expect(box.mounts()).toHaveLength(mountsBefore)
    }),
  )
})
