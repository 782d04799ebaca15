"""A stand-in of the Cloud Run Admin API, for tests: jobs and executions, versions 1 and 2, run in local Docker.

It answers as the service's descriptions (which Google's client brings) and its error messages say. Not here: services,
IAM, several tasks per execution, and jobs of one version seen through the other.
"""
