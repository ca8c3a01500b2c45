// SPDX-License-Identifier: Apache-2.0

/// A redirect is resolved. Input: the URL of the request, a line feed, the Location header. What comes out has to be a
/// URL like any other, without user and password, and never without TLS where there was TLS.
func fuzzLocation(_ bytes: UnsafeRawBufferPointer) {
  guard let end = bytes.firstIndex(of: 0x0A) else { return }
  guard case .success(let base) = WebSocketURL.parse(UnsafeRawBufferPointer(rebasing: bytes[..<end])) else { return }
  let location = String(decoding: bytes[(end + 1)...], as: UTF8.self)
  let url: WebSocketURL
  switch base.resolving(location: location) {
  case .failure(let failure): return fuzzRequirePlain(failure.text)
  case .success(let found): url = found
  }
  fuzzRequire(url.credentials == nil, "credentials from a redirect")
  fuzzRequire(url.isSecure || !base.isSecure, "from TLS to plain")
  for part in [url.host, url.hostHeader, url.target, url.redacted] {
    fuzzRequire(part.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a part has a control character")
  }
  fuzzRequire(url.hasSameOrigin(as: url) && url.isSameRequest(as: url), "not itself")
  var path = Array(url.target.utf8)
  if let query = path.firstIndex(of: UInt8(ascii: "?")) { path.removeSubrange(query...) }
  for part in path.split(separator: UInt8(ascii: "/")) {
    // Its own URL is taken as it is.
    let isOwn = url.isSameRequest(as: base) || location.utf8.first == UInt8(ascii: "?")
    fuzzRequire(isOwn || !(part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8)), "dots are left")
  }
  // What it leads to leads to itself by its own name.
  let text = (url.isSecure ? "https://" : "http://") + url.hostHeader + url.target
  if text.utf8.count <= WebSocketURL.maxSize, case .success(let again) = url.resolving(location: text) {
    fuzzRequire(again.hasSameOrigin(as: url), "another origin")
  }
}
