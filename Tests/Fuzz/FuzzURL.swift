// SPDX-License-Identifier: Apache-2.0

/// A URL is parsed. Input: the URL. What is accepted has to parse again to the same from its parts, and to give a
/// request that a server takes.
func fuzzURL(_ bytes: UnsafeRawBufferPointer) {
  let url: WebSocketURL
  switch WebSocketURL.parse(bytes) {
  case .failure(let failure): return fuzzRequirePlain(failure.text)
  case .success(let parsed): url = parsed
  }
  fuzzRequire(url.port > 0 && !url.host.isEmpty, "no host or port")
  fuzzRequirePlainPart(url.host)
  fuzzRequirePlainPart(url.hostHeader)
  fuzzRequirePlainPart(url.target)
  fuzzRequirePlainPart(url.redacted)
  if let (user, password) = url.credentials {
    fuzzRequire((user + password).utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }, "a control character in credentials")
  }

  let text = (url.isSecure ? "wss://" : "ws://") + url.hostHeader + url.target
  if text.utf8.count <= WebSocketURL.maxSize {
    guard case .success(let again) = WebSocketURL.parse(text) else { return fuzzRequire(false, "does not parse again") }
    fuzzRequire(again.isSecure == url.isSecure && again.host == url.host && again.port == url.port, "another place")
    fuzzRequire(again.hostHeader == url.hostHeader && again.target == url.target, "another request")
    fuzzRequire(again.isIPv6Literal == url.isIPv6Literal && again.redacted == url.redacted, "another form")
    fuzzRequire(again.credentials == nil, "credentials from nowhere")
  }

  let request = UpgradeRequest(url: url, key: [UInt8](repeating: 7, count: 16))
  guard case .success(let encoded) = request.encode() else { return fuzzRequire(false, "no request") }
  guard case .request(let info) = encoded.withUnsafeBytes({ UpgradeRequestParser().receive($0) }) else {
    return fuzzRequire(false, "no server takes the request")
  }
  fuzzRequire(info.target == url.target && info.host == url.hostHeader, "the server sees another request")
  fuzzRequire(info.consumed == encoded.count && info.headers.count == 5, "the server sees other headers")
}

private func fuzzRequirePlainPart(_ part: String) {
  fuzzRequire(part.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a part has a control character")
}
