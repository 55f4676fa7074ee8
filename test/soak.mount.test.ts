/**
 * The soak, in small: it finds everything in its place on the real engine, and says what grew when a program does
 * leak. For as long as one likes: `npm run soak`; HOLDFAST_SEED=<number> starts elsewhere.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { REPOSITORY } from './support/programs.js'

const SEED = process.env.HOLDFAST_SEED ?? '1'
const SOUND = ['--seconds', '10', '--start', '3', '--rests', '6']
const LEAKING = ['--seconds', '9', '--start', '1', '--rests', '8', '--leak']
const pictures = mkdtempSync(path.join(tmpdir(), 'hf-curves-'))

afterAll(() => rmSync(pictures, { recursive: true }))

interface Soaked {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  readonly picture: string
}

function soak(...options: string[]): Promise<Soaked> {
  const out = path.join(pictures, `${options.length}.svg`)
  const argv = [path.join(REPOSITORY, 'scripts', 'soak.js'), '--seed', SEED, '--out', out, ...options]
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env
  return new Promise((resolve) => {
    execFile(process.execPath, argv, { env, timeout: 150_000 }, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1
      const picture = existsSync(out) ? readFileSync(out, 'utf8') : ''
      resolve({ code, stdout, stderr, picture })
    })
  })
}

describe(`from seed ${SEED}`, { timeout: 160_000 }, () => {
  // Both at once: each has a mount, a file system and a namespace of its own.
  test.concurrent('after mixed load with kills everything is where it was', async () => {
    const { code, stdout, stderr, picture } = await soak(...SOUND)
    const verdicts = stdout.split('\n').filter((line) => / (ok|GREW)$/.test(line))
    expect(
      verdicts.filter((line) => line.endsWith('GREW')),
      stderr,
    ).toEqual([])
    expect(verdicts).toHaveLength(11)
    expect(code, `${stdout}\n${stderr}`).toBe(0)
    const [, killed = '0'] = /, (\d+) killed, 0 failed/.exec(stdout) ?? []
    expect(Number(killed), stdout).toBeGreaterThan(0)
    expect(picture).toMatch(/^<svg /)
  })

  test.concurrent('a program that keeps opening, leasing and pinning files: exit code 1, and what grew is named', async () => {
    const { code, stdout, stderr, picture } = await soak(...LEAKING)
    expect(code, `${stdout}\n${stderr}`).toBe(1)
    const grown = stdout.split('\n').filter((line) => line.endsWith('GREW'))
    const names = grown.map((line) => line.split(' ')[0])
    // Which of the others grow is a matter of time; memory hardly does so soon.
    expect(names, `${stdout}\n${stderr}`).toEqual(
      expect.arrayContaining(['descriptors', 'leases', 'pins', 'inodes']),
    )
    expect(names, stdout).not.toContain('threads')
    expect(stdout).toMatch(new RegExp(`^failed; again: npm run soak -- --seed ${SEED} .*--leak`, 'm'))
    expect(picture).toContain('leases (in the rules): grew')
  })
})
