// Creates docs/reference/ with typedoc, from the docstrings of everything that package.json exports.
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Application, LogLevel, ReflectionKind } from 'typedoc'

const DOCUMENTED =
  ReflectionKind.TypeAlias |
  ReflectionKind.ClassOrInterface |
  ReflectionKind.FunctionOrMethod |
  ReflectionKind.Variable |
  ReflectionKind.Property |
  ReflectionKind.Accessor |
  ReflectionKind.Constructor

/** Returns the text of each file, by its path in the repository. */
export async function makeReference(folder) {
  const app = await Application.bootstrapWithPlugins({ ...OPTIONS, entryPoints: await entryPoints() })
  const project = await app.convert()
  if (!project) throw new Error('typedoc could not read the sources')
  app.validate(project)
  const bare = project.getReflectionsByKind(DOCUMENTED).filter(needsDocstring)
  for (const each of bare) app.logger.error(`${each.getFullName()} has no docstring`)
  if (app.logger.hasErrors() || app.logger.hasWarnings())
    throw new Error('typedoc reported problems. See the messages above.')

  for (const each of project.getReflectionsByKind(ReflectionKind.Class)) removeInheritedMembers(each, project)
  for (const each of project.getReflectionsByKind(ReflectionKind.Module)) sortByName(each)

  const out = await mkdtemp(path.join(tmpdir(), 'reference-'))
  try {
    await app.outputs.writeOutput({ name: 'markdown', path: out }, project)
    if (app.logger.hasErrors()) throw new Error('typedoc could not write the reference')
    return await readTree(out, folder)
  } finally {
    await rm(out, { recursive: true })
  }
}

/** Sorts the names of an entry point, which come from many files. Members keep the order of their source. */
function sortByName({ groups = [] }) {
  for (const { children } of groups) children.sort((one, other) => (one.name < other.name ? -1 : 1))
}

/** Removes inherited members without their own docstring, because the base class documents them. */
function removeInheritedMembers(reflection, project) {
  const repeated = each =>
    each.inheritedFrom || (each.kindOf(ReflectionKind.Constructor) && each.overwrites && !hasComment(each))
  for (const group of reflection.groups ?? []) group.children = group.children.filter(each => !repeated(each))
  reflection.groups = reflection.groups?.filter(group => group.children.length > 0)
  for (const each of reflection.children?.filter(repeated) ?? []) project.removeReflection(each)
}

/** Whether a symbol must have a docstring. Inline types and overriding constructors are documented elsewhere. */
function needsDocstring(reflection) {
  if (reflection.flags.isExternal || reflection.flags.isPrivate) return false
  if (reflection.kindOf(ReflectionKind.Constructor) && reflection.overwrites) return false
  for (let each = reflection; each; each = each.parent) if (each.kindOf(ReflectionKind.TypeLiteral)) return false
  return !hasComment(reflection)
}

function hasComment(reflection) {
  const documented = [
    reflection,
    ...(reflection.signatures ?? []),
    reflection.getSignature,
    reflection.type?.declaration,
  ]
  return documented.some(each => each?.hasComment() || each?.signatures?.some(signature => signature.hasComment()))
}

async function entryPoints() {
  const { exports } = JSON.parse(await readFile('package.json', 'utf8'))
  return Object.values(exports)
    .map(conditions => conditions.import?.default)
    .filter(Boolean)
    .map(file => file.replace('./dist/esm/', 'lib/').replace(/\.js$/, '.ts'))
}

async function readTree(from, to) {
  const files = (await readdir(from, { recursive: true, withFileTypes: true })).filter(entry => entry.isFile())
  return Promise.all(
    files.map(async entry => {
      const file = path.join(entry.parentPath, entry.name)
      const text = (await readFile(file, 'utf8'))
        .replace(/[ \t]+$/gm, '')
        .replaceAll(MODULE_NAME, nameOf)
        .replaceAll(UNION_MEMBER, '##### $2$1')
      return [path.posix.join(to, path.relative(from, file)), text]
    }),
  )
}

/** Module names in headings and links, to be replaced by the import path. */
const MODULE_NAME = /(^# |- \[)(index|handlers|testing|redis)($|(?=\]))/gm

/** Headings of union members, to be replaced by the `type` of the member. */
const UNION_MEMBER = /##### Type Literal(\n\n\\\{ `type`: `"([\w-]+)"`)/g

function nameOf(_, before, module) {
  return `${before}${module === 'index' ? PACKAGE : `${PACKAGE}/${module}`}`
}

const PACKAGE = '@video-io/videokit-nodejs'

const OPTIONS = {
  plugin: ['typedoc-plugin-markdown'],
  tsconfig: 'tsconfig.build.json',
  // `tsc` checks the types before.
  skipErrorChecking: true,
  name: 'Reference',
  readme: 'none',
  logLevel: LogLevel.Warn,
  // The output must not depend on the machine or the commit.
  disableSources: true,
  disableGit: true,
  sourceLinkTemplate: '{path}',
  excludeExternals: true,
  excludeInternal: true,
  excludePrivate: true,
  validation: { notExported: true, invalidLink: true, rewrittenLink: true, notDocumented: false },
  hidePageHeader: true,
  hideBreadcrumbs: true,
  outputFileStrategy: 'modules',
  sort: ['kind', 'source-order'],
  kindSortOrder: ['Class', 'Function', 'Interface', 'TypeAlias'],
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  classPropertiesFormat: 'table',
  typeAliasPropertiesFormat: 'table',
}
