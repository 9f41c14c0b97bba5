import { describe, expect, it } from '@jest/globals'
import { permissionFlag } from '../../../lib/core/permission-flag.js'

describe("the flag of Node's permission model for an error", () => {
  const denied = (permission?: unknown): object => ({ code: 'ERR_ACCESS_DENIED', permission })

  it.each([
    ['FileSystemRead', '--allow-fs-read'],
    ['FileSystemWrite', '--allow-fs-write'],
    ['Net', '--allow-net'],
    ['Unknown\n', '--usual'],
    [undefined, '--usual'],
  ])('is, for the permission %j, %s', (permission, flag) => {
    expect(permissionFlag(denied(permission), '--usual')).toBe(flag)
  })

  it.each([undefined, null, 'ERR_ACCESS_DENIED', { code: 'EACCES' }, new Error('no code')])(
    'is undefined for %p',
    error => expect(permissionFlag(error, '--usual')).toBeUndefined(),
  )
})
