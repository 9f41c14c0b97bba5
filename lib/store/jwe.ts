export { flattenedDecrypt } from 'jose/jwe/flattened/decrypt'
export { FlattenedEncrypt } from 'jose/jwe/flattened/encrypt'
