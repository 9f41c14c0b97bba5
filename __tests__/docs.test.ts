import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { compileBlocks, LANGUAGES } from './support/docs/compile-blocks.js'
import {
  readBlocks,
  readLinks,
  REPOSITORY,
  SHIPPED,
  targetExists,
  UNDEFINED,
  type CodeBlock,
} from './support/docs/markdown.js'
import { installCopy } from './support/docs/package-copy.js'
import { runBlocks, unprinted, type RunOutcome } from './support/docs/run-blocks.js'
import { runTranscripts, type Transcript } from './support/docs/run-transcripts.js'
import { listFiles } from './support/list-files.js'
import { describeWith, posix } from './support/needs.js'

const MINUTES = 60_000

const PAGE = /\.md$/

const guides = listFiles('docs/guides', PAGE)
const pages = [
  ...SHIPPED,
  'CONTRIBUTING.md',
  'CODE_OF_CONDUCT.md',
  ...['.github', 'docs', 'examples'].flatMap(folder => listFiles(folder, PAGE)),
]
const blocks = ['README.md', ...guides].flatMap(readBlocks)
const code = blocks.filter(block => LANGUAGES.has(block.language))
const named = (list: readonly CodeBlock[]): [string, CodeBlock][] =>
  list.map(block => [`${block.file}:${block.line}`, block])

let folder: string
beforeAll(async () => {
  folder = await installCopy()
}, 120_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('code in the README and the guides', () => {
  let problems: Map<CodeBlock, string[]>
  let outcomes: Map<CodeBlock, RunOutcome>
  const wrong: CodeBlock = {
    file: 'wrong.md',
    line: 1,
    language: 'ts',
    code: `import { VKitClient } from '@video-io/videokit-nodejs'\nconst token: number = await new VKitClient().getSessionToken('')\n`,
    answers: [],
  }
  const fragment: CodeBlock = {
    ...wrong,
    line: 10,
    language: 'js',
    code: '\nawait vkit.getSessionToken("END_USER_ID")\n',
  }

  beforeAll(async () => {
    problems = compileBlocks([...code, wrong, fragment])
    outcomes = await runBlocks([...code.filter(block => block.compileOnly === undefined), wrong, fragment], folder)
  }, 5 * MINUTES)

  it('names its language', () => {
    expect(blocks.filter(({ language }) => language === '').map(({ file, line }) => `${file}:${line}`)).toEqual([])
  })

  it.each(named(code))('compiles: %s', (_, block) => {
    expect(problems.get(block)).toEqual([])
  })

  it.each(named(code.filter(block => block.compileOnly === undefined)))('runs: %s', (_, block) => {
    const { ok, output } = outcomes.get(block) ?? { ok: false, output: 'not run' }
    expect(ok ? 'ran' : output).toBe('ran')
    expect(unprinted(block, output)).toEqual([])
  })

  it('is reported if it is wrong', () => {
    expect(problems.get(wrong)).toEqual(["wrong.md:3: Type 'SessionToken' is not assignable to type 'number'."])
    expect(unprinted({ ...wrong, code: '\nconsole.log(1) // 2' }, '1 12')).toEqual(['wrong.md:3: not printed: 2'])
    expect(outcomes.get(wrong)).toMatchObject({
      ok: false,
      output: expect.stringContaining('VKitArgumentError: identity'),
    })
  })

  it('is reported if it needs another block of its page', () => {
    expect(problems.get(fragment)).toEqual(["wrong.md:12: Cannot find name 'vkit'."])
    expect(outcomes.get(fragment)).toMatchObject({
      ok: false,
      output: expect.stringMatching(/vkit is not defined[^]*at wrong\.md:12:1$/m),
    })
  })

  it('is run, except for at most one block in eight', () => {
    const compiledOnly = code.filter(block => block.compileOnly !== undefined)
    expect(compiledOnly.length).toBeLessThanOrEqual(code.length / 8)
  })
})

describe('commands in the documentation', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }

  it.each(pages)('name scripts that exist: %s', page => {
    const names = [...readFileSync(page, 'utf8').matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name = '']) => name)
    expect(names.filter(name => !(name in scripts))).toEqual([])
  })
})

describeWith(posix, 'transcripts of the command line', () => {
  const sessions = blocks.filter(({ language }) => language === 'console')
  let transcripts: Map<CodeBlock, Transcript>

  beforeAll(async () => {
    transcripts = await runTranscripts(sessions, folder)
  }, 5 * MINUTES)

  it('are marked as console on each page that shows one', () => {
    const shown = ['README.md', ...guides].filter(page => /^\s*\$ (npx )?vkit /m.test(readFileSync(page, 'utf8')))
    expect(shown.filter(page => !sessions.some(({ file }) => file === page))).toEqual([])
  })

  it('match what the command line prints', () => {
    for (const [block, { shown, printed }] of transcripts) {
      expect({ at: `${block.file}:${block.line}`, text: printed }).toEqual({
        at: `${block.file}:${block.line}`,
        text: shown,
      })
    }
  })
})

describe('docs/architecture.md', () => {
  it('names every module of lib/', () => {
    const page = readFileSync('docs/architecture.md', 'utf8')
    const modules = readdirSync('lib').map(name => (name.endsWith('.ts') ? name.slice(0, -3) : `${name}/`))
    expect(modules.filter(module => !page.includes(`\`${module}\``))).toEqual([])
  })
})

describe('links of the pages in the package', () => {
  it.each(SHIPPED)('lead to a file of the package or to a URL: %s', page => {
    const local = readLinks(page).filter(({ target }) => !/^(#|https:)/.test(target) && !SHIPPED.includes(target))
    expect(local).toEqual([])
  })
})

describe('links within the repository', () => {
  it.each(pages)('have an existing target: %s', page => {
    expect(
      readLinks(page)
        .map(({ line, target }) => ({ at: `${page}:${line}`, target }))
        .filter(({ target }) => !targetExists(page, target)),
    ).toEqual([])
  })

  it('are reported if they are broken', () => {
    expect(targetExists('README.md', 'docs/nowhere.md')).toBe(false)
    expect(targetExists('README.md', 'docs/architecture.md#nowhere')).toBe(false)
    expect(targetExists('README.md', 'docs/architecture.md#rooms')).toBe(true)
    expect(targetExists('README.md', `${REPOSITORY}docs/architecture.md#nowhere`)).toBe(false)
    expect(targetExists('docs/glossary.md', `${REPOSITORY}docs/architecture.md#rooms`)).toBe(true)
    expect(targetExists('README.md', UNDEFINED)).toBe(false)
  })

  it('are reported if their name is not defined', () => {
    const page = path.join(folder, 'links.md')
    writeFileSync(
      page,
      '[one][two], [Three], `[four]`, [five](https://five.example) and [Six]\n\n[six]: https://six.example\n',
    )
    const targets = readLinks(page).map(({ line, target }) => `${line} ${target}`)
    expect(targets).toEqual(['1 https://five.example', `1 ${UNDEFINED}`, `1 ${UNDEFINED}`, '3 https://six.example'])
  })
})
