// SPDX-License-Identifier: Apache-2.0

/// A proxy answers. Input: a byte for the sizes of the chunks, a byte for what is asked (1: SOCKS5, 2: with a login,
/// 4: an IPv4 address, 8: an IPv6 address, else a name), the proxy's bytes.
func fuzzProxy(_ bytes: UnsafeRawBufferPointer) {
  guard bytes.count >= 2 else { return }
  let answer = UnsafeRawBufferPointer(rebasing: bytes[2...])
  let whole = ProxyRun(choice: bytes[1])
  _ = whole.feed(answer)
  whole.end()
  let cut = ProxyRun(choice: bytes[1])
  fuzzChunks(answer, seed: bytes[0]) { cut.feed($0) }
  cut.end()
  fuzzRequire(whole.used <= answer.count && cut.used <= answer.count, "more than there is")
  fuzzRequire(whole.isOpen == cut.isOpen && whole.isRefused == cut.isRefused, "two results")
  fuzzRequire(whole.isLogin == cut.isLogin && whole.isOfAddress == cut.isOfAddress, "two reasons")
  fuzzRequire(whole.sent == cut.sent, "two talks")
  // What is behind the answer belongs to the tunnel.
  if whole.isOpen { fuzzRequire(whole.used == cut.used, "two ends of the answer") }
}

private final class ProxyRun {
  var dialogue: ProxyDialogue
  var sent: [UInt8] = []
  var used = 0
  var isOpen = false
  var isRefused = false
  var isLogin = false
  var isOfAddress = false

  init(choice: UInt8) {
    let login = Array("me".utf8)
    if choice & 1 == 0 {
      dialogue = ProxyDialogue(connect: Array("host:443".utf8), authorization: choice & 2 != 0 ? login : [])
    } else {
      var target = ProxyDialogue.Target.name(Array("host".utf8))
      if choice & 4 != 0 { target = .address([127, 0, 0, 1]) }
      if choice & 8 != 0 { target = .address([UInt8](repeating: 1, count: 16)) }
      dialogue = ProxyDialogue(socks: target, port: 443, user: choice & 2 != 0 ? login : [], password: login)
    }
    flush()
  }

  private func flush() {
    sent += dialogue.outgoing
    dialogue.sent(dialogue.outgoing.count)
  }

  /// Whether it wants more.
  func feed(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var at = 0
    while at < bytes.count {
      let count = min(dialogue.wanted, bytes.count - at)
      fuzzRequire(count > 0, "it wants nothing and has no result")
      let progress = dialogue.receive(UnsafeRawBufferPointer(rebasing: bytes[at..<(at + count)]))
      at += count
      used += count
      flush()
      switch progress {
      case .needMoreBytes: continue
      case .open: isOpen = true
      case .refused(let refusal): take(refusal)
      }
      return false
    }
    return true
  }

  func end() {
    if isOpen || isRefused { return }
    if let refusal = dialogue.finish() { take(refusal) }
  }

  private func take(_ refusal: ProxyRefusal) {
    isRefused = true
    (isLogin, isOfAddress) = (refusal.isLogin, refusal.isOfAddress)
    fuzzRequirePlain(sentence(refusal.text))
  }
}
