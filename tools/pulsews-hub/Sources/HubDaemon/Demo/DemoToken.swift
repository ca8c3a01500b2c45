// SPDX-License-Identifier: Apache-2.0

/// JSON Web Tokens of algorithm HS256 (RFC 7515), for who tries the demo. The hub verifies them with the library.
enum DemoToken {
  static func make(_ claims: String, secret: String) -> String {
    let text = base64(Array(#"{"alg":"HS256"}"#.utf8)) + "." + base64(Array(claims.utf8))
    return text + "." + base64(hmac(Array(text.utf8), key: Array(secret.utf8)))
  }

  /// 64 hexadecimal digits that nobody can guess.
  static func secret() -> String {
    var random = SystemRandomNumberGenerator()
    return (0..<4).map { _ in
      let digits = String(random.next(), radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  /// Without padding, as URLs take it (RFC 4648 §5).
  static func base64(_ bytes: [UInt8]) -> String {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    var out: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
      for place in 0...group.count { out.append(letters[Int(bits >> UInt32(18 - 6 * place) & 63)]) }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// RFC 2104, with SHA-256.
  static func hmac(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
    var block = key.count > 64 ? sha256(key) : key
    block += [UInt8](repeating: 0, count: 64 - block.count)
    return sha256(block.map { $0 ^ 0x5C } + sha256(block.map { $0 ^ 0x36 } + message))
  }

  /// FIPS 180-4 §6.2.
  static func sha256(_ message: [UInt8]) -> [UInt8] {
    var state: [UInt32] = fractions(of: 8) { Double($0).squareRoot() }
    let factors = fractions(of: 64) { cubeRoot(Double($0)) }
    let length = UInt64(message.count) &* 8
    let zeros = [UInt8](repeating: 0, count: (119 - message.count % 64) % 64)
    let padded = message + [0x80] + zeros + (0..<8).map { UInt8(truncatingIfNeeded: length >> UInt64(56 - 8 * $0)) }
    for start in stride(from: 0, to: padded.count, by: 64) {
      let block = padded[start..<start + 64]
      mix(&state, factors, (0..<16).map { word in block[(start + 4 * word)...].prefix(4).reduce(0) { $0 << 8 | UInt32($1) } })
    }
    return state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(24 - 8 * $0)) } }
  }

  private static func mix(_ state: inout [UInt32], _ factors: [UInt32], _ block: [UInt32]) {
    func turn(_ word: UInt32, _ count: UInt32) -> UInt32 { word >> count | word << (32 - count) }
    var words = block
    for index in 16..<64 {
      let (near, far) = (words[index - 15], words[index - 2])
      let sum = words[index - 16] &+ words[index - 7] &+ (turn(near, 7) ^ turn(near, 18) ^ near >> 3)
      words.append(sum &+ (turn(far, 17) ^ turn(far, 19) ^ far >> 10))
    }
    var now = state
    for index in 0..<64 {
      let (first, fifth) = (now[0], now[4])
      let choice = fifth & now[5] ^ ~fifth & now[6]
      let most = first & now[1] ^ first & now[2] ^ now[1] & now[2]
      let one = now[7] &+ (turn(fifth, 6) ^ turn(fifth, 11) ^ turn(fifth, 25)) &+ choice &+ factors[index] &+ words[index]
      let two = (turn(first, 2) ^ turn(first, 13) ^ turn(first, 22)) &+ most
      now = [one &+ two, first, now[1], now[2], now[3] &+ one, fifth, now[5], now[6]]
    }
    state = zip(state, now).map { $0 &+ $1 }
  }

  /// The first 32 bits behind the point of roots of the first primes, which is where the constants of SHA-256 are from.
  private static func fractions(of count: Int, _ root: (Int) -> Double) -> [UInt32] {
    let primes = (2...311).filter { number in !(2..<number).contains { number % $0 == 0 } }
    return primes.prefix(count).map { prime in
      let value = root(prime)
      return UInt32((value - value.rounded(.down)) * 4_294_967_296)
    }
  }

  /// By Newton's method, to the last bit that counts.
  private static func cubeRoot(_ value: Double) -> Double {
    (0..<60).reduce(value) { root, _ in root - (root * root * root - value) / (3 * root * root) }
  }
}
