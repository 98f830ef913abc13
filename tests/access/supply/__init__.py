"""What FairStack is delivered with: installed packages, their locks and licences, and the wheel."""
