import http from 'node:http'

/** `Object.prototype` of the tests, and that of Node's own modules, which Jest keeps apart. */
const PROTOTYPES: readonly object[] = [
  Object.prototype,
  Object.getPrototypeOf(Object.getPrototypeOf(http.METHODS)) as object,
]

/** Runs `task` while every object inherits a property with this name and value. */
export async function withPollutedPrototypes(name: string, value: unknown, task: () => unknown): Promise<void> {
  for (const each of PROTOTYPES) Object.defineProperty(each, name, { value, configurable: true, writable: true })
  try {
    await task()
  } finally {
    for (const each of PROTOTYPES) Reflect.deleteProperty(each, name)
  }
}
