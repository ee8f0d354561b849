// Tells browsers to use the filter. Change the names, then serve this file as
// application/x-ns-proxy-autoconfig with Cache-Control: max-age=300.
//
// It has no way round the filter: if the filter does not answer, browsing stops rather than going
// unfiltered. It asks no DNS question (isInNet, dnsResolve and isResolvable do), which would be
// slow, and would tell a name server names that the filter should decide about.

function FindProxyForURL(url, host) {
  // A school that reaches its own inside names without the filter puts them here, and nothing else:
  // if (dnsDomainIs(host, ".inside.example.sch.uk")) { return "DIRECT"; }
  return "PROXY filter.example.sch.uk:3128";
}
