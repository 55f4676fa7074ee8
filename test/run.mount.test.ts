/**
 * `holdfast run FILE -- COMMAND`: what others may still do to FILE, what COMMAND itself is told, and the exit
 * codes. One run serves the tests that only try things on it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from './support/eventually.js'
import { HOLDFAST, program } from './support/programs.js'
import { inSandbox, Sandbox } from './support/sandbox.js'

const SIZE = 65_536

describe('run: what others can do to FILE while COMMAND runs', () => {
  let box: Sandbox
  let file: string

  beforeAll(async () => {
    box = await Sandbox.create()
    file = await box.file('model.gguf', SIZE)
    await box.file('other', 100)
    await box.must('mkdir open-to-all && chmod 777 . open-to-all && chmod 666 model.gguf')
    await box.run([file], 'echo started; exec sleep 1000')
  })

  afterAll(async () => {
    await box.dispose()
  })

  test.each([
    ['truncate -s 0', 'truncate -s 0 "$1"'],
    ['truncate to one byte less', 'truncate -s -1 "$1"'],
    [': > FILE', ': > "$1"'],
    ['fallocate -p', 'fallocate -p -o 4096 -l 4096 "$1"'],
    ['fallocate -z', 'fallocate -z -o 4096 -l 4096 "$1"'],
    ['fallocate -z beyond the end (L7: length 0 covers to infinity)', 'fallocate -z -o 1048576 -l 4096 "$1"'],
    ['cp other FILE', 'cp other "$1"'],
    ['dd of=FILE', 'dd if=other of="$1" status=none'],
    ['ftruncate on a descriptor that is open for writing', 'exec 5<>"$1" && truncate -s 0 /proc/self/fd/5'],
    ['O_TRUNC with O_RDONLY', `${program('opentrunc')} "$1" rdonly`],
    ['O_TRUNC with O_CREAT', `${program('opentrunc')} "$1" creat`],
  ])('X1: %s by root ends with "Text file busy" and changes nothing', async (_name, script) => {
    const result = await box.bash(script, { args: [file] })
    expect(result.stderr).toContain('Text file busy')
    expect(result.code).not.toBe(0)
    expect(await box.must('stat -c %s "$1"; tr -d A < "$1" | wc -c', { args: [file] })).toBe(`${SIZE}\n0\n`)
  })

  test.each([
    ['truncate -s 0', 'truncate -s 0 "$1"'],
    [': > FILE', ': > "$1"'],
    ['fallocate -p', 'fallocate -p -o 4096 -l 4096 "$1"'],
  ])('X1: %s by an ordinary user with write permission ends with "Text file busy"', async (_name, script) => {
    const as = [
      'setpriv',
      '--reuid=12345',
      '--regid=12345',
      '--clear-groups',
      'bash',
      '-c',
      script,
      'bash',
      file,
    ]
    const result = await box.exec(as)
    expect(result.stderr).toContain('Text file busy')
    expect(result.code).not.toBe(0)
  })

  test.each([
    ['mv other FILE', 'mv other "$1"'],
    ['mv FILE away', 'mv "$1" away'],
    ['rm FILE', 'rm -f "$1"'],
    ['ln -f other FILE', 'ln -f other "$1"'],
    ['os.replace, as editors do', 'cp other temporary && mv -T temporary "$1"'],
  ])('run: %s ends with "Device or resource busy" (FILE is a mount point)', async (_name, script) => {
    const result = await box.bash(script, { args: [file] })
    expect(result.stderr).toContain('Device or resource busy')
    expect(result.code).not.toBe(0)
    expect(await box.must('stat -c %s "$1"', { args: [file] })).toBe(`${SIZE}\n`)
  })

  test.each([
    ['reading', 'test "$(head -c 3 "$1")" = AAA'],
    ['writing in place', 'printf A | dd of="$1" bs=1 seek=10 conv=notrunc status=none'],
    ['chmod', 'chmod 640 "$1" && test "$(stat -c %a "$1")" = 640 && chmod 666 "$1"'],
    ['chown', 'chown 1:1 "$1" && test "$(stat -c %u:%g "$1")" = 1:1 && chown 0:0 "$1"'],
    ['touch', 'touch -d @1000000000 "$1" && test "$(stat -c %Y "$1")" = 1000000000'],
    ['fsync', 'sync "$1"'],
    [
      'setting an extended attribute',
      'setfattr -n user.a -v b "$1" 2>/dev/null || command -v setfattr || true',
    ],
    ['mapping', `${program('mapread')} "$1" 65`],
    ['truncating to the size it has', `truncate -s ${SIZE} "$1"`],
    ['copying out of it', 'cp "$1" copy && cmp "$1" copy'],
  ])('L3: %s works as ever', async (_name, script) => {
    const result = await box.bash(script, { args: [file] })
    expect(result).toMatchObject({ code: 0, stderr: '' })
  })

  test('L3: growing works: appending, truncate upwards, fallocate with and without KEEP_SIZE', async () => {
    const script = [
      'set -e',
      `printf B >> "$1"; test "$(stat -c %s "$1")" = ${SIZE + 1}`,
      'truncate -s +4095 "$1"',
      'fallocate -o 0 -l 100000 "$1"',
      'fallocate -n -l 200000 "$1"',
      'stat -c %s "$1"',
    ].join('\n')
    const own = await box.file('growing', SIZE)
    await box.run([own])
    expect(await box.must(script, { args: [own] })).toBe('100000\n')
  })

  test('R4: `who FILE` names COMMAND', async () => {
    const who = await box.exec([HOLDFAST, 'who', file])
    expect(who.code).toBe(0)
    expect(who.stdout).toContain('sleep')
  })
})

describe('run: COMMAND itself', () => {
  test(
    'X1: COMMAND gets "Resource deadlock avoided", its children "Text file busy"',
    inSandbox(async (box) => {
      const file = await box.file('data')
      // The first attempt is the shell's own open(2): no child is involved. LC_ALL is C.
      const script = [
        '{ : > "$0"; } 2>&1',
        'truncate -s 0 "$0" 2>&1',
        `exec ${program('opentrunc')} "$0" rdwr 2>&1`,
      ].join('\n')
      const result = await box.exec([HOLDFAST, 'run', file, '--', 'bash', '-c', script, file])
      const lines = result.stdout.trim().split('\n')
      expect(lines).toHaveLength(3)
      expect(lines[0]).toContain('Resource deadlock avoided')
      expect(lines[1]).toContain('Text file busy')
      expect(lines[2]).toContain('Resource deadlock avoided')
      expect(await box.must('stat -c %s data')).toBe('65536\n')
    }),
  )

  test(
    'X1: a thread of COMMAND is COMMAND: "Resource deadlock avoided"',
    inSandbox(async (box) => {
      const file = await box.file('data')
      box.start([HOLDFAST, 'run', file, '--', program('leasectl'), box.outside, 'a'])
      const agent = await box.attach('a')
      expect(await agent.call('thread', 'truncate', file, 0)).toBe('EDEADLK')
      expect(await agent.call('truncate', file, 0)).toBe('EDEADLK')
    }),
  )

  test(
    'P2: a COMMAND that closes every descriptor above 2 stays protected',
    inSandbox(async (box) => {
      const file = await box.file('data')
      box.start([HOLDFAST, 'run', file, '--', program('leasectl'), box.outside, 'a'])
      const agent = await box.attach('a')
      await agent.call('closeall')
      expect((await box.bash('truncate -s 0 data')).stderr).toContain('Text file busy')
      expect((await box.bash('rm data')).stderr).toContain('Device or resource busy')
    }),
  )

  test(
    'P8: exec of COMMAND into another program without any descriptor ends nothing',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const close = 'for fd in $(seq 3 30); do eval "exec $fd>&-"; done'
      await box.run([file], `${close}; echo started; exec sleep 1000`, { shell: 'bash' })
      expect((await box.bash('truncate -s 0 data')).stderr).toContain('Text file busy')
    }),
  )

  test(
    'run: FILE is whole and usable at once when COMMAND has ended; the same truncate then succeeds',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const held = await box.exec([HOLDFAST, 'run', file, '--', 'sh', '-c', 'cksum < "$0"', file])
      await box.allGone()
      expect(held.stdout).toBe(await box.must('cksum < data'))
      await box.must('truncate -s 0 data && mv data elsewhere && rm elsewhere')
    }),
  )

  test(
    'run: COMMAND gets one more descriptor for each FILE: open, not close-on-exec, on that FILE',
    inSandbox(async (box) => {
      const files = [await box.file('one'), await box.file('two')]
      const list = 'for fd in /proc/$$/fd/*; do echo "$(basename $fd) $(readlink $fd)"; done'
      const plain = (await box.exec(['bash', '-c', list])).stdout
      const held = (await box.exec([HOLDFAST, 'run', ...files, '--', 'bash', '-c', list])).stdout
      const extra = held.split('\n').filter((line) => files.some((file) => line.endsWith(` ${file}`)))
      expect(extra).toHaveLength(2)
      expect(held.split('\n').length - plain.split('\n').length).toBe(2)
    }),
  )
})

describe('run --no-passthrough: the same, with reads and writes through the daemon', () => {
  test(
    'run: others are refused, reading, writing and mapping work, nothing is left',
    inSandbox(async (box) => {
      const file = await box.file('data')
      const running = box.start([
        HOLDFAST,
        'run',
        '--no-passthrough',
        file,
        '--',
        program('leasectl'),
        box.outside,
        'a',
      ])
      const agent = await box.attach('a')
      for (const change of [
        'truncate -s 0 data',
        ': > data',
        'fallocate -p -l 4096 data',
        'cp /etc/passwd data',
      ]) {
        expect((await box.bash(change)).stderr).toContain('Text file busy')
      }
      expect((await box.bash('mv data x')).stderr).toContain('Device or resource busy')
      expect(await agent.call('truncate', file, 0)).toBe('EDEADLK')
      await box.must(
        `${program('mapread')} data 66; printf C | dd of=data bs=1 seek=7 conv=notrunc status=none`,
      )
      const fd = await agent.open(file, 'rdonly')
      const map = await agent.number('mmap', fd, 0, 4096, 'rs')
      await agent.call('closeall')
      expect([await agent.call('touch', map, 7), await agent.call('touch', map, 100)]).toEqual(['67', '66'])
      expect((await box.bash('truncate -s 0 data')).stderr).toContain('Text file busy')
      await running.kill()
      await box.allGone()
      expect(await box.must('head -c 8 data')).toBe('AAAAAAAC')
    }),
  )
})

describe('run: exit codes', () => {
  let box: Sandbox
  let file: string

  beforeAll(async () => {
    box = await Sandbox.create()
    file = await box.file('data', 4096)
    await box.must('echo "not a program" > text && chmod 644 text && mkdir directory')
  })

  afterAll(async () => {
    await box.dispose()
  })

  test.each([
    ['0', ['true'], 0],
    ["COMMAND's own", ['sh', '-c', 'exit 37'], 37],
    ['255', ['sh', '-c', 'exit 255'], 255],
    ['127 if COMMAND is not found', ['no-such-command-here'], 127],
    ['127 if a path does not exist', ['/no/such/program'], 127],
    ['126 if it cannot be executed', ['./text'], 126],
    ['126 if it is a directory', ['./directory'], 126],
  ])('run: exit code %s', async (_name, command, code) => {
    const result = await box.exec([HOLDFAST, 'run', file, '--', ...command])
    expect(result).toMatchObject({ code, signal: null })
    if (code >= 126 && code < 128) expect(result.stderr.trim().split('\n')).toHaveLength(1)
    await box.allGone()
  })

  test.each([
    ['SIGTERM', 143],
    ['SIGKILL', 137],
    ['SIGSEGV', 139],
    ['SIGINT', 130],
  ])('run: a COMMAND ended by %s gives a shell %i', async (signal, code) => {
    const script = `"$1" run "$2" -- sh -c 'kill -${signal.slice(3)} $$' 2>/dev/null; echo "code $?"`
    const result = await box.bash(`ulimit -c 0; ${script}`, { args: [HOLDFAST, file] })
    expect(result.stdout).toBe(`code ${code}\n`)
    await box.allGone()
  })

  test('run: a signal sent to the pid that was started reaches COMMAND itself', async () => {
    const running = await box.run(
      [file],
      'trap "echo caught; exit 9" TERM; echo started; while :; do sleep 0.05; done',
    )
    running.signal('SIGTERM')
    expect(await running.ended).toMatchObject({ code: 9 })
    expect(running.stdout).toContain('caught')
    await box.allGone()
  })

  test('run: the output of COMMAND is not held open by any helper', async () => {
    const result = await box.bash('"$1" run "$2" -- echo hello | cat', {
      args: [HOLDFAST, file],
      timeoutMs: 8_000,
    })
    expect(result).toMatchObject({ code: 0, stdout: 'hello\n', stderr: '' })
    const seen = await eventually('no daemon left', () => (box.daemons().length === 0 ? 'none' : undefined))
    expect(seen).toBe('none')
  })

  test('run: adds no output of its own when nobody else has FILE open', async () => {
    expect(await box.exec([HOLDFAST, 'run', file, '--', 'true'])).toMatchObject({ stdout: '', stderr: '' })
    await box.allGone()
  })
})
