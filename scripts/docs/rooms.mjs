// Draws the rooms of lib/ from the imports between them.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'

/** A Mermaid flowchart. An import that follows from others is left out, so that the chart stays readable. */
export function roomChart() {
  const imports = importsBetweenRooms()
  const edges = [...imports].flatMap(([room, targets]) =>
    [...targets].filter(target => !isIndirect(imports, room, target)).map(target => `  ${room} --> ${target}`),
  )
  return ['```mermaid', 'flowchart TD', ...edges.sort(), '```'].join('\n')
}

/** For each room the rooms that it imports, types included. */
function importsBetweenRooms() {
  const imports = new Map()
  for (const file of readdirSync('lib', { recursive: true }).filter(name => name.endsWith('.ts'))) {
    const { importedFiles } = ts.preProcessFile(readFileSync(path.join('lib', file), 'utf8'))
    const room = roomOf(file)
    const targets = importedFiles
      .filter(({ fileName }) => fileName.startsWith('.'))
      .map(({ fileName }) => roomOf(path.join(path.dirname(file), fileName)))
    imports.set(room, new Set([...(imports.get(room) ?? []), ...targets.filter(target => target !== room)]))
  }
  return imports
}

function roomOf(file) {
  return path
    .normalize(file)
    .split(path.sep)[0]
    .replace(/\.[jt]s$/, '')
}

/** Whether `room` also reaches `target` through another room that it imports. */
function isIndirect(imports, room, target) {
  return [...imports.get(room)].some(between => between !== target && reaches(imports, between, target))
}

function reaches(imports, from, to) {
  return [...(imports.get(from) ?? [])].some(next => next === to || reaches(imports, next, to))
}
