// Mints a token for each of a list of users, and prints one line of JSON each. `npm start -- script alice bob` runs it.
const USERS = ['alice', 'bob', 'carol']

export async function run(vkit, users, { printsTokens }) {
  for await (const { identity, token, error } of vkit.getSessionTokens(users.length > 0 ? users : USERS)) {
    if (error) {
      console.error(`${identity}: ${error.message}`)
      continue
    }
    // Your own script stores token.sessionToken. A real one does not belong in a terminal, whose text is copied and logged.
    const { sessionToken, expiresAt } = token
    console.log(JSON.stringify(printsTokens ? { identity, sessionToken, expiresAt } : { identity, expiresAt }))
  }
}
