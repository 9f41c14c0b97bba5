// Mints a token for each user in a list, and prints one line of JSON for each. Run it with `npm start -- script alice bob`.
const USERS = ['alice', 'bob', 'carol']

export async function run(vkit, users, { printsTokens }) {
  for await (const { identity, token, error } of vkit.getSessionTokens(users.length > 0 ? users : USERS)) {
    if (error) {
      console.error(`${identity}: ${error.message}`)
      continue
    }
    // Store token.sessionToken here. Do not print a real token: the output of a terminal may be copied and logged.
    const { sessionToken, expiresAt } = token
    console.log(JSON.stringify(printsTokens ? { identity, sessionToken, expiresAt } : { identity, expiresAt }))
  }
}
