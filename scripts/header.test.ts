import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import * as abi from '../src/control/formats/abi.js'

const include = new URL('../include', import.meta.url).pathname

/** Every C compiler that is there; a header for others must not depend on one of them. */
const compilers = ['gcc', 'clang', 'g++'].filter((name) => spawnSync(name, ['--version']).status === 0)

const SOURCE = `
#include <holdfast.h>
#include <stdio.h>
int main(void) {
  printf("%zu %zu %zu %zu %zu\\n", sizeof(struct holdfast_lease), sizeof(struct holdfast_owner),
    sizeof(struct holdfast_pin), sizeof(struct holdfast_query), sizeof(struct holdfast_info));
  printf("%lu %lu %lu %lu %lu %lu %lu %lu\\n", (unsigned long)HOLDFAST_SETLEASE,
    (unsigned long)HOLDFAST_RELEASE, (unsigned long)HOLDFAST_GETLEASE, (unsigned long)HOLDFAST_SETOWN,
    (unsigned long)HOLDFAST_PIN, (unsigned long)HOLDFAST_UNPIN, (unsigned long)HOLDFAST_QUERY,
    (unsigned long)HOLDFAST_INFO);
  return 0;
}
`

test.skipIf(compilers.length === 0).each(compilers.length === 0 ? ['no C compiler here'] : compilers)(
  'include/holdfast.h has the sizes and request numbers of src/control/formats/abi.ts (%s)',
  (compiler) => {
    const directory = mkdtempSync(path.join(tmpdir(), 'holdfast-header-'))
    try {
      const program = path.join(directory, 'header')
      const language = compiler === 'g++' ? ['-x', 'c++'] : ['-std=c11', '-x', 'c']
      const options = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', `-I${include}`, '-o', program]
      execFileSync(compiler, [...language, ...options, '-'], { input: SOURCE })
      const [sizes, numbers] = execFileSync(program, { encoding: 'utf8' }).trim().split('\n')
      expect(sizes).toBe('64 24 40 56 128')
      const ours = [
        abi.SETLEASE,
        abi.RELEASE,
        abi.GETLEASE,
        abi.SETOWN,
        abi.PIN,
        abi.UNPIN,
        abi.QUERY,
        abi.INFO,
      ]
      expect(numbers).toBe(ours.join(' '))
    } finally {
      rmSync(directory, { recursive: true })
    }
  },
)
