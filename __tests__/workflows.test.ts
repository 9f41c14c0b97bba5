import { describe, expect, it } from '@jest/globals'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parse } from 'yaml'
import { listFiles } from './support/list-files.js'

interface Step {
  readonly uses?: string
  readonly run?: string
  readonly env?: Readonly<Record<string, string>>
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>
  readonly permissions?: unknown
  readonly jobs: Readonly<Record<string, Job>>
}

interface Job {
  readonly permissions?: object
  readonly strategy?: { readonly matrix: Readonly<Record<string, unknown>> }
  readonly steps?: readonly Step[]
}

const files = listFiles('.github/workflows', /\.yml$/)
const read = (file: string): string => readFileSync(file, 'utf8')
const workflow = (file: string): Workflow => parse(read(file)) as Workflow
const lint = (...args: string[]): { status: number | null; problems: string[] } => {
  const { status, stdout } = spawnSync(process.execPath, ['scripts/lint-workflows.mjs', ...args], { encoding: 'utf8' })
  return { status, problems: stdout.split('\n').filter(Boolean) }
}
const steps = files.flatMap(file => Object.values(workflow(file).jobs).flatMap(job => job.steps ?? []))

describe('workflows', () => {
  it('have no problem that the linter finds', () => {
    expect(lint()).toEqual({ status: 0, problems: [] })
  })

  it('are reported if they are wrong, with the line', () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'workflows-')), 'wrong.yml')
    const wrong = read('.github/workflows/ci.yml')
      .replace('${{ matrix.node }}', '${{ matrix.nodes }}')
      .replace('pull_request:', 'pull_requests:')
    writeFileSync(file, wrong)
    const { status, problems } = lint(file)
    rmSync(path.dirname(file), { recursive: true })
    expect({ status, problems: problems.sort() }).toEqual({
      status: 1,
      problems: [`${file}:26 Context access might be invalid: nodes`, `${file}:7 Unexpected value 'pull_requests'`],
    })
  })

  it.each(files)('can only read, except for named jobs: %s', file => {
    expect(workflow(file).permissions).toEqual({ contents: 'read' })
  })

  it('use actions by their commits, with the version in a comment', () => {
    const uses = files.flatMap(file => read(file).match(/^\s*(- )?uses: .*$/gm) ?? [])
    const foreign = uses.filter(line => !line.includes('uses: ./'))
    expect(foreign.length).toBeGreaterThan(5)
    expect(foreign.filter(line => !/uses: [\w-]+\/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual([])
  })

  it('fail if a section of .ci/run lacks a program, and leave out none', () => {
    const [, sections = ''] = /^sections='(.+)'$/m.exec(read('.ci/run')) ?? []
    const { jobs } = workflow('.github/workflows/ci.yml')
    const { section, consumers, readme } = jobs
    const inMatrix = (section?.strategy?.matrix['section'] ?? []) as string[]
    expect([...inMatrix, 'readme', 'consumers'].sort()).toEqual(sections.split(' ').sort())
    expect([section?.steps?.at(-1), consumers?.steps?.at(-1)?.run]).toEqual([
      { run: '.ci/run ${{ matrix.section }}', env: { CI_REQUIRE: '1' } },
      '.ci/run consumers',
    ])
    expect(readme?.steps?.map(({ run }) => run)).toContain('npm ci && npm test')
  })

  it('run only scripts of this repository', () => {
    const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: Readonly<Record<string, string>> }
    const commands = steps.flatMap(({ run }) => run?.split(' && ') ?? [])
    const names = commands.flatMap(command => /^npm run ([\w:]+)/.exec(command)?.[1] ?? [])
    expect(names.filter(name => !(name in scripts))).toEqual([])
    const allowed =
      /^(npm (ci( --ignore-scripts)?|test|publish|start -- script|run [\w:]+( -- [^;|&]+)?)|\.ci\/run [^;|&]+|gh release create [^;|&]+)$/
    expect(commands.filter(command => !allowed.test(command))).toEqual([])
  })
})
