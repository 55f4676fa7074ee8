/** `holdfast watch`: what it prints, and that it always ends. */
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { eventuallyTrue } from './support/eventually.js'
import { statusMounts } from './support/listing.js'
import { HOLDFAST } from './support/programs.js'
import { inSandbox, type Running, type Sandbox } from './support/sandbox.js'

/** Starts to watch, and takes and drops leases on a file until the first of them is seen. */
async function watching(box: Sandbox, probe: string, ...args: string[]): Promise<Running> {
  const running = box.start([HOLDFAST, 'watch', ...args])
  await eventuallyTrue(
    'watch prints something',
    async (saw) => {
      saw({ stdout: running.stdout, stderr: running.stderr, result: running.result })
      await box.must('exec 3<"$1"; "$2" lease --fd 3 > /dev/null', { args: [probe, HOLDFAST] })
      return running.stdout.includes('\n') || running.result !== undefined
    },
    20_000,
  )
  return running
}

async function mounted(box: Sandbox, name = 'tree'): Promise<string> {
  await box.must(
    'mkdir "$1" && echo text > "$1/a" && echo text > "$1/b" && mkdir "$1/sub" && echo text > "$1/sub/c"',
    {
      args: [name],
    },
  )
  const tree = path.join(box.work, name)
  await box.mount(tree)
  return tree
}

describe('what it prints', () => {
  test(
    'one line in words for each event, with file, lease and offender',
    inSandbox(async (box) => {
      const tree = await mounted(box)
      const running = await watching(box, `${tree}/a`, tree)
      const agent = await box.agent('holder')
      await agent.setLease(await agent.open(`${tree}/b`))
      const other = await box.agent('other')
      expect(await other.call('truncate', `${tree}/b`, 0)).toBe('ETXTBSY')
      await running.says('refused')
      const line = running.stdout.split('\n').find((text) => text.includes('refused')) ?? ''
      expect(line).toMatch(
        /^\d\d:\d\d:\d\d\.\d{3} refused +\S+\/tree\/b: truncate on whole file by \d+\(leasectl\S*\) \(ETXTBSY\); exclusive read lease \d+ of /,
      )
      running.signal('SIGINT')
      expect(await running.ended).toMatchObject({ code: 0, signal: null, stderr: '' })
    }),
  )

  test(
    '--json: the events as the control directory has them, one object a line; PATH keeps what is not below it out',
    inSandbox(async (box) => {
      const tree = await mounted(box)
      const running = await watching(box, `${tree}/sub/c`, `${tree}/sub`, '--json')
      await box.must('exec 3<tree/b; "$1" lease --fd 3 --exclusive', { args: [HOLDFAST] })
      await box.must('exec 3<tree/sub/c; "$1" lease --fd 3 --exclusive', { args: [HOLDFAST] })
      await eventuallyTrue('the exclusive lease is seen', () => running.stdout.includes('exclusive'))
      running.signal('SIGTERM')
      const { stdout, code } = await running.ended
      expect(code).toBe(0)
      for (const line of stdout.trimEnd().split('\n')) {
        expect(JSON.parse(line)).toMatchObject({ event: expect.any(String), file: `${tree}/sub/c` })
      }
    }),
  )

  test(
    'without PATH it follows every engine, also one that starts meanwhile',
    inSandbox(async (box) => {
      const tree = await mounted(box)
      const file = await box.file('data')
      const running = await watching(box, `${tree}/a`)
      const held = await box.run([file], 'echo started; read x', { stdin: 'pipe' })
      await eventuallyTrue('the new engine is followed', async (saw) => {
        saw(running.stdout)
        await box.bash(': > data')
        return running.stdout.includes(`${file}: `)
      })
      held.closeInput()
      await held.ended
      running.signal('SIGINT')
      expect((await running.ended).code).toBe(0)
    }),
  )
})

describe('how it ends', () => {
  test(
    'with the mount',
    inSandbox(async (box) => {
      const tree = await mounted(box)
      const running = [await watching(box, `${tree}/a`), await watching(box, `${tree}/a`, tree)]
      expect((await box.umount(tree)).code).toBe(0)
      for (const each of running)
        expect(await each.ended).toMatchObject({ code: 0, signal: null, stderr: '' })
    }),
  )

  test.each([
    ['with PATH', ['data']],
    ['without PATH', []],
  ])('with its engine, when that is killed: exit code 1 and one line that names the mount, %s', (_, args) =>
    inSandbox(async (box) => {
      const file = await box.file('data')
      const held = await box.run([file])
      const running = box.start([HOLDFAST, 'watch', ...args])
      await eventuallyTrue('it watches', async () => {
        await box.bash(': > data')
        return running.stdout.includes('refused')
      })
      const { engines } = await box.helpers()
      for (const { pid } of engines) process.kill(pid, 'SIGKILL')
      const { code, stderr } = await running.ended
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^holdfast: .*\n$/) })
      expect(stderr).toContain(`${file}: its engine was killed`)
      await held.kill()
      await box.allGone()
    })(),
  )

  test(
    'an engine that is killed beside another is told of at once, and the other followed to its end',
    inSandbox(async (box) => {
      const tree = await mounted(box)
      const file = await box.file('data')
      const held = await box.run([file])
      const running = await watching(box, `${tree}/a`)
      const victim = (await statusMounts(box)).find(({ kind }) => kind === 'run')
      process.kill((victim?.engine as { pid: number } | undefined)?.pid ?? 0, 'SIGKILL')
      await eventuallyTrue('it says so', () => running.stderr.includes(`${file}: its engine was killed`))
      expect(running.result).toBeUndefined()
      expect((await box.umount(tree)).code).toBe(0)
      expect(await running.ended).toMatchObject({ code: 1, signal: null })
      await held.kill()
      await box.allGone()
    }),
  )

  test(
    'when nobody reads any more: at once, without a further event and without a word',
    inSandbox(async (box) => {
      const tree = await mounted(box)
      const script = 'exec 4>err; { "$1" watch "$2" 2>&4; echo $? > code; } | head -n 1'
      const running = box.start(['bash', '-c', script, 'bash', HOLDFAST, tree])
      await eventuallyTrue(
        'the pipeline has ended',
        async () => {
          if (running.stdout === '') {
            await box.must('exec 3<"$1/a"; "$2" lease --fd 3 > /dev/null', { args: [tree, HOLDFAST] })
          }
          return running.result !== undefined
        },
        20_000,
      )
      expect(await box.must('cat err')).toBe('')
      expect(await box.must('cat code')).toMatch(/^[01]\n$/)
    }),
  )

  test(
    'at once where there is nothing to watch: one line, exit code 1',
    inSandbox(async (box) => {
      const result = await box.holdfast('watch')
      expect(result).toMatchObject({ code: 1, stdout: '' })
      expect(result.stderr).toMatch(/^holdfast: no Holdfast mounts.*\n$/)
    }),
  )
})
