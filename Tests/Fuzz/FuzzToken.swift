// SPDX-License-Identifier: Apache-2.0
import CPulseSys

/// Tokens as they come: a byte that chooses what is done, then the bytes. What is no token gets a reason; what is signed
/// here has claims that can be granted.
func fuzzToken(_ bytes: UnsafeRawBufferPointer) {
  guard let kind = bytes.first else { return }
  let input = [UInt8](bytes.dropFirst())
  let terms = TokenTerms(now: 1_800_000_000, leeway: 0, audience: kind & 1 == 0 ? [] : [0x68], issuer: kind & 2 == 0 ? [] : [0x69])
  if kind & 4 == 0 {
    let verdict = fuzzKeys.verify(input[...], now: terms.now, leeway: 0, audience: terms.audience, issuer: terms.issuer)
    if case .failure(let problem) = verdict { fuzzRequirePlain(problem.sentence.description) }
    return
  }
  // Only with the right signature would these be reached.
  let verdict = input.withUnsafeBytes { TokenClaims.read($0, terms) }
  guard case .success(let claims) = verdict else { return }
  fuzzRequire(claims.expires > terms.now && claims.expires <= TokenClaims.lastTime, "an expired token")
  for text in [claims.user] + (claims.topics ?? []) + claims.publish {
    fuzzRequire(text.count <= 256 && text.withUnsafeBytes { isValidUTF8($0) } && !text.contains { $0 < 0x20 || $0 == 0x7F }, "a bad text")
  }
}

private let fuzzKeys: TokenKeys = {
  let keys = TokenKeys()
  let why = keys.add(name: [0x61], algorithm: Array("HS256".utf8), material: [UInt8](repeating: 0x61, count: 32))
  fuzzRequire(why == nil, "a key is refused")
  return keys
}()
